//! What a configuration means by leaving a field out: the defaults of the transformers library's
//! configuration classes, and of NomicBERT's own one for the spelling that it is published in.

use super::fields::Fields;
use crate::harness::model::Architecture;

/// The defaults of one family.
pub(super) struct Family {
    architecture: Architecture,
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// Key heads; `None` means as many as query heads.
    pub(super) key_heads: Option<usize>,
    /// Size of a head; `None` means hidden / heads.
    pub(super) head_size: Option<usize>,
    /// Inner size of the feed-forward part; `None` means four times the hidden size.
    pub(super) inner: Option<usize>,
    pub(super) vocabulary: usize,
    pub(super) positions: usize,
    /// Names of the norms' epsilon, and its value.
    pub(super) epsilon: ([&'static str; 2], f64),
    pub(super) activation: &'static str,
    pub(super) tied: bool,
    pub(super) padding: usize,
    pub(super) rotary_base: f64,
}

const ROOT: [&str; 2] = ["rms_norm_eps", "rms_norm_epsilon"];
const LAYER: [&str; 2] = ["layer_norm_eps", "layer_norm_epsilon"];

impl Family {
    pub(super) fn of(architecture: Architecture, fields: &Fields<'_>) -> Family {
        use Architecture::{Bert, Gpt2, Mistral, NomicBert, Phi3, Qwen2, Qwen3, Roberta};
        let llama = Family {
            architecture,
            hidden: 4096,
            layers: 32,
            heads: 32,
            key_heads: None,
            head_size: None,
            inner: Some(11_008),
            vocabulary: 32_000,
            positions: 2048,
            epsilon: (ROOT, 1e-6),
            activation: "silu",
            tied: false,
            padding: 0,
            rotary_base: 10_000.0,
        };
        let bert = Family {
            hidden: 768,
            layers: 12,
            heads: 12,
            inner: Some(3072),
            vocabulary: 30_522,
            positions: 512,
            epsilon: (LAYER, 1e-12),
            activation: "gelu",
            tied: true,
            ..llama
        };
        match architecture {
            Qwen2 | Qwen3 => Family {
                key_heads: Some(32),
                head_size: (architecture == Qwen3).then_some(128),
                inner: Some(22_016),
                vocabulary: 151_936,
                positions: 32_768,
                ..llama
            },
            Mistral => {
                Family { key_heads: Some(8), inner: Some(14_336), positions: 131_072, ..llama }
            }
            Phi3 => Family {
                hidden: 3072,
                inner: Some(8192),
                vocabulary: 32_064,
                positions: 4096,
                epsilon: (ROOT, 1e-5),
                ..llama
            },
            Gpt2 => Family {
                inner: None,
                vocabulary: 50_257,
                positions: 1024,
                epsilon: (LAYER, 1e-5),
                activation: "gelu_new",
                ..bert
            },
            Bert => bert,
            Roberta => Family { vocabulary: 50_265, padding: 1, ..bert },
            // The published spelling is that of a GPT-2, and so are its defaults.
            NomicBert if fields.has("n_embd") => Family {
                vocabulary: 30_528,
                inner: None,
                epsilon: (LAYER, 1e-5),
                activation: "gelu_new",
                ..bert
            },
            NomicBert => Family {
                vocabulary: 30_528,
                positions: 2048,
                activation: "silu",
                rotary_base: 1000.0,
                ..bert
            },
            _ => llama,
        }
    }

    /// Whether the architecture has the optional biases that a flag switches on.
    pub(super) fn has_biases(&self, flag: &str) -> bool {
        match flag {
            "attention_bias" => {
                matches!(self.architecture, Architecture::Llama | Architecture::Qwen3)
            }
            _ => self.architecture == Architecture::Llama,
        }
    }
}
