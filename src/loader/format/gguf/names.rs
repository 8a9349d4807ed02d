//! Converts llama.cpp's names of tensors to the published names.

use super::config::Family;

/// The tensor with a divisor for the frequency of each rotary pair: how llama.cpp's converter writes
/// Llama 3's scaling of positions. It has no published name, so it keeps its own.
pub const ROPE_FACTORS: &str = "rope_freqs.weight";

/// Tensors outside the layers.
const WHOLE: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

/// Tensors of a layer, without `.weight` or `.bias`.
const PARTS: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// Returns the published name of a tensor; `None` for a name that the family does not have.
pub fn published(name: &str, family: &Family) -> Option<String> {
    if name == ROPE_FACTORS {
        return family.has_rope_factors().then(|| name.to_owned());
    }
    published_part(name)
}

fn published_part(name: &str) -> Option<String> {
    if let Some((_, published)) = WHOLE.iter().find(|(own, _)| *own == name) {
        return Some((*published).to_owned());
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    // The number of the layer must have no sign and no leading zero.
    let number: u32 = layer.parse().ok()?;
    let (part, kind) = part.rsplit_once('.')?;
    let (_, published) = PARTS.iter().find(|(own, _)| *own == part)?;
    let sound = number.to_string() == layer && matches!(kind, "weight" | "bias");
    sound.then(|| format!("model.layers.{number}.{published}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::published_part;

    #[test]
    fn each_name_has_one_and_strangers_none() {
        let published = |name| published_part(name).unwrap_or_default();
        assert_eq!(published("blk.12.attn_q.bias"), "model.layers.12.self_attn.q_proj.bias");
        assert_eq!(
            published("blk.0.ffn_norm.weight"),
            "model.layers.0.post_attention_layernorm.weight"
        );
        assert_eq!(published("output.weight"), "lm_head.weight");
        for stranger in
            ["rope_freqs.weight", "blk.01.attn_q.weight", "blk.0.attn_q", "blk..attn_q.bias"]
        {
            assert_eq!(published(stranger), "", "{stranger}");
        }
    }
}
