//! What each tensor of a file is for, told from its name, element type and shape, and the zeros that
//! are normal in it. `spec/gates.yaml` lists the roles with their reasons.

use crate::contract::DType;
use crate::contract::reply::Gate;

/// What a tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers.
    Index,
    /// No elements.
    Empty,
    /// What a module computes for itself, and older exports stored: masks, positions, rotary tables.
    Buffer,
    /// One element.
    Scalar,
    /// A bias.
    Bias,
    /// What a norm multiplies by.
    NormWeight,
    /// A row for each token, position or type.
    Embedding,
    /// Everything else.
    Weight,
}

/// The kind of a tensor: the first that applies, in the order above.
pub(super) fn kind(name: &str, dtype: DType, shape: &[u64]) -> Kind {
    let elements: u64 = shape.iter().product();
    let lower = name.to_lowercase();
    let parts: Vec<&str> = lower.split('.').collect();
    let last = parts[parts.len() - 1];
    if dtype == DType::I64 {
        return Kind::Index;
    }
    if elements == 0 {
        return Kind::Empty;
    }
    if is_buffer(name, shape) {
        return Kind::Buffer;
    }
    if elements == 1 {
        return Kind::Scalar;
    }
    if shape.len() < 2 {
        if last.ends_with("bias") || last == "beta" {
            return Kind::Bias;
        }
        if last == "gamma" || parts.iter().any(|part| names_a_norm(part)) {
            return Kind::NormWeight;
        }
    }
    let table = lower.contains("embed") || parts.contains(&"wte") || parts.contains(&"wpe");
    if table { Kind::Embedding } else { Kind::Weight }
}

/// Whether a gate looks at tensors of a kind.
pub(super) fn looks_at(gate: Gate, kind: Kind) -> bool {
    match kind {
        Kind::Index | Kind::Empty | Kind::Buffer => false,
        Kind::Scalar | Kind::Bias => gate == Gate::NonFinite,
        Kind::NormWeight => gate == Gate::NonFinite || gate == Gate::Norm,
        Kind::Embedding | Kind::Weight => true,
    }
}

/// Whether a tensor is a buffer: computed by its module, and stored by older exports only.
pub fn is_buffer(name: &str, shape: &[u64]) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let [.., module, leaf] = parts.as_slice() else { return parts == ["position_ids"] };
    let of_attention = ["attn", "attention", "self_attn"].contains(module);
    match *leaf {
        "position_ids" => true,
        "token_type_ids" => *module == "embeddings",
        // The causal mask; a layer's bias has rank 1.
        "bias" => of_attention && shape.len() == 4 && shape[..2] == [1, 1] && shape[2] == shape[3],
        // The value that hidden positions get.
        "masked_bias" => of_attention && shape.iter().product::<u64>() == 1,
        "inv_freq" | "original_inv_freq" | "cos_cached" | "sin_cached" => module.contains("rotary"),
        _ => false,
    }
}

/// Whether a tensor of zeros alone is sound.
pub(super) fn zeros_alone_are_sound(name: &str, shape: &[u64]) -> bool {
    let is_part = |wanted: &[&str]| name.split('.').any(|part| wanted.contains(&part));
    // A model with one type of tokens adds the same row to every token, and its converter writes
    // zeros. A LoRA adapter starts with zeros in the matrix that is multiplied last.
    let only_type = is_part(&["token_type_embeddings"]) && shape.len() == 2 && shape[0] == 1;
    only_type || is_part(&["lora_B", "lora_embedding_A"])
}

/// Whether rows of zeros alone are sound in a tensor: rows of tokens or positions that are not in use.
pub(super) fn rows_of_zeros_are_sound(name: &str, shape: &[u64], kind: Kind) -> bool {
    let head = ["lm_head", "lm_head.decoder", "cls.predictions.decoder"]
        .iter()
        .any(|head| name.ends_with(&format!("{head}.weight")));
    shape.len() == 2 && (kind == Kind::Embedding || head)
}

fn names_a_norm(part: &str) -> bool {
    let numbered = |rest: &str| {
        rest.is_empty()
            || rest.starts_with('_')
            || rest.starts_with(|next: char| next.is_ascii_digit())
    };
    part.contains("norm") || part.ends_with("_ln") || part.strip_prefix("ln").is_some_and(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_types_and_shapes_decide_the_kind() {
        for (name, shape, expected) in [
            ("a", &[4, 0][..], Kind::Empty),
            ("a.bias", &[1], Kind::Scalar),
            ("encoder.layer.0.attention.output.LayerNorm.weight", &[8], Kind::NormWeight),
            ("model.norm.weight", &[8], Kind::NormWeight),
            ("h.0.ln_1.weight", &[8], Kind::NormWeight),
            ("ln.weight", &[8], Kind::NormWeight),
            ("emb_ln.weight", &[8], Kind::NormWeight),
            ("emb_ln.bias", &[8], Kind::Bias),
            ("q_proj.bias", &[8], Kind::Bias),
            ("LayerNorm.gamma", &[8], Kind::NormWeight),
            ("LayerNorm.beta", &[8], Kind::Bias),
            ("norm.linear.weight", &[4, 2], Kind::Weight),
            ("lnet.weight", &[8], Kind::Weight),
            ("model.embed_tokens.weight", &[4, 2], Kind::Embedding),
            ("embeddings.LayerNorm.weight", &[8], Kind::NormWeight),
            ("transformer.wte.weight", &[4, 2], Kind::Embedding),
            ("wtent.weight", &[4, 2], Kind::Weight),
            ("lm_head.weight", &[4, 2], Kind::Weight),
            ("h.3.attn.bias", &[1, 1, 8, 8], Kind::Buffer),
            ("h.3.attn.bias", &[8], Kind::Bias),
            ("h.3.attn.masked_bias", &[], Kind::Buffer),
            ("layers.0.self_attn.rotary_emb.inv_freq", &[8], Kind::Buffer),
        ] {
            assert_eq!(kind(name, DType::F32, shape), expected, "{name}");
        }
        assert_eq!(kind("embeddings.position_ids", DType::I64, &[1, 8]), Kind::Index);
        assert_eq!(kind("embeddings.position_ids", DType::F32, &[1, 8]), Kind::Buffer);
    }

    #[test]
    fn a_buffer_needs_its_name_its_module_and_its_shape() {
        for (name, shape, is) in [
            ("h.0.attn.masked_bias", &[][..], true),
            ("h.0.attn.masked_bias", &[1], true),
            ("h.0.attn.masked_bias", &[4], false),
            ("h.0.mlp.masked_bias", &[1], false),
            ("h.0.attn.bias", &[1, 1, 8, 4], false),
            ("h.0.attn.bias", &[1, 2, 8, 8], false),
            ("h.0.mlp.bias", &[1, 1, 8, 8], false),
            ("embeddings.token_type_ids", &[1, 8], true),
            ("encoder.token_type_ids", &[1, 8], false),
            ("a.rotary_emb.inv_freq", &[8], true),
            ("a.inv_freq", &[8], false),
            ("position_ids", &[1, 8], true),
        ] {
            assert_eq!(is_buffer(name, shape), is, "{name} {shape:?}");
        }
    }

    #[test]
    fn rows_of_zeros_are_sound_in_tables_of_tokens_alone() {
        for (name, shape, kind, sound) in [
            ("embed.weight", &[4, 2][..], Kind::Embedding, true),
            ("embed.weight", &[4, 2, 1], Kind::Embedding, false),
            ("lm_head.weight", &[4, 2], Kind::Weight, true),
            ("lm_head.weight", &[8], Kind::Weight, false),
            ("w.weight", &[4, 2], Kind::Weight, false),
        ] {
            assert_eq!(rows_of_zeros_are_sound(name, shape, kind), sound, "{name} {shape:?}");
        }
    }
}
