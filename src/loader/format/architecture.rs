//! The architectures that are known, by the names that configurations give them.

/// The architectures that are known, by `model_type`.
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

/// How a model is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Learned positions, norms behind each part.
    Bert,
    /// The same, positions counted from behind the padding id.
    Roberta,
    /// Fused projections, gated feed-forward part, rotary positions.
    Nomic,
    /// Norms before each part, grouped-query attention, causal; biases on query, key and value.
    Qwen2,
    /// Qwen2 without those biases, and with a norm over each head of query and key.
    Qwen3,
    /// Qwen2 with biases only where the configuration says so, and rotary positions that may be
    /// scaled.
    Llama,
    /// The same without biases; a token may see only a window of those before it.
    Mistral,
    /// The same, query, key and value fused, and gate and the other half.
    Phi3,
    /// Learned positions, norms before each part, no gate, weights stored as `[in, out]`.
    Gpt2,
    /// One linear layer over a vector.
    Projection,
}

impl Architecture {
    /// As `model_type` has it.
    pub fn name(self) -> &'static str {
        KNOWN.iter().find(|(_, known)| *known == self).map_or("unknown", |(name, _)| name)
    }

    /// Whether it is one whose tokens see only those before them.
    pub fn is_decoder(self) -> bool {
        use Architecture::{Gpt2, Llama, Mistral, Phi3, Qwen2, Qwen3};
        matches!(self, Qwen2 | Qwen3 | Llama | Mistral | Phi3 | Gpt2)
    }
}
