//! The supported architectures, and their names in configurations.

/// The supported architectures by `model_type`.
pub const KNOWN: [(&str, Architecture); 10] = [
    ("bert", Architecture::Bert),
    ("roberta", Architecture::Roberta),
    ("nomic_bert", Architecture::Nomic),
    ("qwen2", Architecture::Qwen2),
    ("qwen3", Architecture::Qwen3),
    ("llama", Architecture::Llama),
    ("mistral", Architecture::Mistral),
    ("phi3", Architecture::Phi3),
    ("gpt2", Architecture::Gpt2),
    ("projection", Architecture::Projection),
];

/// The architecture of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Encoder: learned positions, norms after each block.
    Bert,
    /// As BERT, but positions count from the row after the padding id.
    Roberta,
    /// Encoder: fused projections, gated feed-forward block, RoPE.
    Nomic,
    /// Causal: norms before each block, grouped-query attention, biases on query, key and value.
    Qwen2,
    /// As Qwen2, without those biases, and with a norm over each head of query and key.
    Qwen3,
    /// As Qwen2, but with biases only if the configuration says so, and with RoPE that may be
    /// scaled.
    Llama,
    /// As Llama, without biases; attention may be limited to a sliding window.
    Mistral,
    /// As Mistral, with query, key and value in one matrix, and gate and up projection in another.
    Phi3,
    /// Causal: learned positions, norms before each block, no gate, weights stored as `[in, out]`.
    Gpt2,
    /// One linear layer over a vector.
    Projection,
}

impl Architecture {
    /// The name in `model_type`.
    pub fn name(self) -> &'static str {
        KNOWN.iter().find(|(_, known)| *known == self).map_or("unknown", |(name, _)| name)
    }

    /// Whether attention is causal: a token attends only to itself and to earlier tokens.
    pub fn is_decoder(self) -> bool {
        use Architecture::{Gpt2, Llama, Mistral, Phi3, Qwen2, Qwen3};
        matches!(self, Qwen2 | Qwen3 | Llama | Mistral | Phi3 | Gpt2)
    }
}
