//! Sizes that `config.json` does not state, with the default that the family has in their place and
//! the tensors whose shapes follow from them.

/// A size that may be absent: its field, and parts of the names of its tensors.
#[derive(Debug, PartialEq)]
pub struct Size {
    field: &'static str,
    tensors: &'static [&'static str],
}

/// Size of a head.
pub static HEAD_DIM: Size = Size { field: "head_dim", tensors: &["self_attn."] };

/// Key and value heads.
pub static KEY_HEADS: Size = Size {
    field: "num_key_value_heads",
    tensors: &["self_attn.k_proj", "self_attn.v_proj", "self_attn.qkv_proj"],
};

/// Width of the feed-forward block.
pub static WIDTH: Size = Size { field: "intermediate_size", tensors: &["mlp."] };

/// Width of the feed-forward block of GPT-2.
pub static INNER_OF_GPT2: Size = Size { field: "n_inner", tensors: &["mlp."] };

/// The sizes that are absent, with their defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Absent(Vec<(&'static Size, usize)>);

impl Absent {
    /// Notes a size and returns its default.
    pub fn take(&mut self, size: &'static Size, default: usize) -> usize {
        self.0.push((size, default));
        default
    }

    /// The fields from which the shape of a tensor follows, with their defaults, such as
    /// `head_dim (default 128)`.
    pub fn of(&self, tensor: &str) -> Vec<String> {
        let of = |size: &Size| size.tensors.iter().any(|part| tensor.contains(part));
        let all = self.0.iter().filter(|(size, _)| of(size));
        all.map(|(size, default)| format!("{} (default {default})", size.field)).collect()
    }
}
