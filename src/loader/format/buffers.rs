//! Recognises the buffers that older exports carry beside the weights: masks, position ids and
//! rotary tables.
//!
//! A buffer holds what its module computes from the configuration, so no architecture reads it from
//! a file. transformers wrote buffers until its version 4.31 and ignores them since. A mask may have
//! any element type, and the value behind a mask is minus infinity in half precision.

use super::safetensors::TensorInfo;

/// Modules whose `bias` of rank 4 is a causal mask. The bias of a layer is a vector.
const ATTENTION: [&str; 3] = ["attn", "attention", "self_attn"];

/// Tables of rotary positions.
const ROTARY: [&str; 4] = ["inv_freq", "original_inv_freq", "cos_cached", "sin_cached"];

/// Whether a tensor is a buffer, by its name and shape.
pub fn is_buffer(tensor: &TensorInfo) -> bool {
    let mut segments = tensor.name.rsplit('.');
    let (last, module) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    match last {
        "bias" => {
            let square =
                matches!(tensor.shape.as_slice(), [1, 1, rows, columns] if rows == columns);
            ATTENTION.contains(&module) && square
        }
        "masked_bias" => ATTENTION.contains(&module) && tensor.elements() == Some(1),
        "position_ids" => true,
        "token_type_ids" => module == "embeddings",
        table => ROTARY.contains(&table) && module.contains("rotary"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::DType;

    #[test]
    fn names_and_shapes_tell_buffers_from_weights() {
        for (name, shape, buffer) in [
            ("transformer.h.0.attn.bias", &[1, 1, 16, 16][..], true),
            ("h.11.attn.masked_bias", &[], true),
            ("h.11.attn.masked_bias", &[1], true),
            ("bert.embeddings.position_ids", &[1, 512], true),
            ("embeddings.token_type_ids", &[1, 512], true),
            ("model.layers.3.self_attn.rotary_emb.inv_freq", &[32], true),
            ("model.rotary_emb.cos_cached", &[64, 32], true),
            ("h.0.attn.c_attn.bias", &[48], false),
            ("h.0.attn.bias", &[48], false),
            ("h.0.attn.bias", &[1, 1, 16, 8], false),
            ("h.0.attn.masked_bias", &[16], false),
            ("h.0.mlp.bias", &[1, 1, 16, 16], false),
            ("embeddings.position_embeddings.weight", &[512, 8], false),
            ("model.inv_freq", &[32], false),
        ] {
            let info = TensorInfo {
                name: name.into(),
                dtype: DType::U8,
                shape: shape.to_vec(),
                begin: 0,
                end: 0,
            };
            assert_eq!(is_buffer(&info), buffer, "{name} {shape:?}");
        }
    }
}
