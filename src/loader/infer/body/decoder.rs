//! Resolves decoders: pre-norm layers, causal attention, and a vocabulary head.

use crate::contract::inference::{Head, OutputKind};

use super::layers::{Body, Layer, columns};
use crate::loader::infer::config::{Architecture, Config};
use crate::loader::infer::names::Finder;
use crate::loader::infer::ops::{Linear, NormKind, Weight};

/// The matrix of the language model's head.
const HEAD: &str = "lm_head.weight";

/// Llama, Mistral, Qwen2, Qwen3 and Phi-3: RoPE, gated feed-forward, RMS norms.
pub(super) fn llama(config: &Config, head: &Head, finder: &mut Finder<'_>) -> Body {
    let Config { hidden, inner, head_size, attention_bias, forward_bias, .. } = *config;
    let wide = config.heads * head_size;
    let narrow = config.key_heads * head_size;
    let norm = |finder: &mut Finder<'_>, name: &str, width: usize| {
        finder.norm(name, NormKind::Rms, width, config.epsilon)
    };
    let fused = config.architecture == Architecture::Phi3;
    // Qwen2 has biases only on query, key and value.
    let joined_bias = attention_bias && config.architecture != Architecture::Qwen2;
    let count = finder.layers(config.layers);
    let layer = |finder: &mut Finder<'_>, n: usize| {
        let of_layer = format!("layers.{n}.");
        let at = |part: &str| [&of_layer, part].concat();
        let mut part =
            |name: &str, outputs: usize, bias: bool| finder.layer(&at(name), outputs, hidden, bias);
        let (queries_keys_values, widen) = match fused {
            true => (
                vec![part("self_attn.qkv_proj", wide + 2 * narrow, false)],
                vec![part("mlp.gate_up_proj", 2 * inner, false)],
            ),
            false => (
                vec![
                    part("self_attn.q_proj", wide, attention_bias),
                    part("self_attn.k_proj", narrow, attention_bias),
                    part("self_attn.v_proj", narrow, attention_bias),
                ],
                vec![
                    part("mlp.gate_proj", inner, forward_bias),
                    part("mlp.up_proj", inner, forward_bias),
                ],
            ),
        };
        let head_norms = (config.architecture == Architecture::Qwen3).then(|| {
            let mut of = |name: &str| norm(finder, &at(name), head_size);
            (of("self_attn.q_norm"), of("self_attn.k_norm"))
        });
        Layer {
            queries_keys_values,
            head_norms,
            join: finder.layer(&at("self_attn.o_proj"), hidden, wide, joined_bias),
            attention_norm: norm(finder, &at("input_layernorm"), hidden),
            widen,
            narrow: finder.layer(&at("mlp.down_proj"), hidden, inner, forward_bias),
            forward_norm: norm(finder, &at("post_attention_layernorm"), hidden),
        }
    };
    let heads: &[&str] = if config.tied { &[HEAD] } else { &[] };
    let words = finder.words("embed_tokens.weight", heads, (config.vocabulary, hidden));
    Body {
        words,
        positions: None,
        types: None,
        embedded: None,
        layers: (0..count).map(|n| layer(finder, n)).collect(),
        columns: columns(config),
        neighbours: false,
        gated: true,
        norms_first: true,
        last: Some(norm(finder, "norm", hidden)),
        vocabulary: None,
        language: language(config, head, words, finder),
    }
}

/// GPT-2: learned positions, no gate, transposed weights, layer norms with mean and bias.
pub(super) fn gpt2(config: &Config, head: &Head, finder: &mut Finder<'_>) -> Body {
    let Config { hidden, inner, .. } = *config;
    let norm = |finder: &mut Finder<'_>, name: &str| {
        finder.norm(name, NormKind::Layer, hidden, config.epsilon)
    };
    let count = finder.layers(config.layers);
    let layer = |finder: &mut Finder<'_>, n: usize| {
        let at = |part: &str| format!("h.{n}.{part}");
        Layer {
            queries_keys_values: vec![finder.transposed(&at("attn.c_attn"), 3 * hidden, hidden)],
            head_norms: None,
            join: finder.transposed(&at("attn.c_proj"), hidden, hidden),
            attention_norm: norm(finder, &at("ln_1")),
            widen: vec![finder.transposed(&at("mlp.c_fc"), inner, hidden)],
            narrow: finder.transposed(&at("mlp.c_proj"), hidden, inner),
            forward_norm: norm(finder, &at("ln_2")),
        }
    };
    let heads: &[&str] = if config.tied { &[HEAD] } else { &[] };
    let words = finder.words("wte.weight", heads, (config.vocabulary, hidden));
    Body {
        words,
        positions: Some(finder.matrix("wpe.weight", config.positions, hidden)),
        types: None,
        embedded: None,
        layers: (0..count).map(|n| layer(finder, n)).collect(),
        columns: columns(config),
        neighbours: false,
        gated: false,
        norms_first: true,
        last: Some(norm(finder, "ln_f")),
        vocabulary: None,
        language: language(config, head, words, finder),
    }
}

/// Resolves the head if logits are requested. The configuration's tie flag decides, not the tensors
/// present: a tied model may hold a stale `lm_head`, and an untied model without one is incomplete.
fn language(
    config: &Config,
    head: &Head,
    words: Weight,
    finder: &mut Finder<'_>,
) -> Option<Linear> {
    (head.gives() == OutputKind::Logits).then(|| match config.tied {
        true => Linear { weight: words, bias: None, transposed: false },
        false => {
            finder.outside();
            finder.bare("lm_head", config.vocabulary, config.hidden)
        }
    })
}
