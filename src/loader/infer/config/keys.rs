//! The fields of `config.json` that no family reads: those that change nothing, with the reason, and
//! those that would change results, which are refused unless they are switched off. Every other
//! field is told as one that nothing reads.

use serde_json::Value;

use crate::loader::error::Result;

use super::fields::Fields;

/// Values with which a field changes nothing.
#[derive(Clone, Copy)]
enum Idle {
    /// Null, false, 0, an empty text, list or object, or the word `none`.
    Off,
    /// Null and 1.
    One,
    /// Those of `Off`, and the words `rope` and `rotary`.
    Rotary,
}

/// Fields that change nothing, by reason. The names have spaces between them.
const HARMLESS: &[(&str, &str)] = &[
    (
        "it says who wrote the files, or which program loads them",
        "architectures auto_map custom_pipelines finetuning_task is_llama_config language \
         license name_or_path model_name tokenizer_class transformers.js_config \
         transformers_version unsloth_fixed unsloth_version",
    ),
    (
        "the weights' file states the element type of each tensor",
        "bf16 dtype fp16 fp32 torch_dtype use_bfloat16",
    ),
    (
        "it is for training only",
        "gradient_checkpointing initializer_factor initializer_range label_smoothing \
         layerdrop max_trained_positions original_max_position_embeddings \
         output_router_logits pretraining_tp router_aux_loss_coef",
    ),
    (
        "it is for a head that is not run: for classification, or BERT's pooler",
        "classifier_bias classifier_pooling directionality id2label label2id num_choices \
         num_labels _num_labels pooler_fc_size pooler_num_attention_heads \
         pooler_num_fc_layers pooler_size_per_head pooler_type predict_special_tokens \
         problem_type summary_activation summary_proj_to_labels summary_type summary_use_proj \
         task_specific_params",
    ),
    (
        "tokenizer and template state the tokens that a prompt begins with",
        "bos_token_id cls_token_id decoder_start_token_id mask_token_id prefix sep_token_id \
         unk_token_id",
    ),
    (
        "the request states how tokens are chosen and how many",
        "do_sample early_stopping length_penalty max_length max_new_tokens \
         num_return_sequences temperature top_k top_p typical_p diversity_penalty",
    ),
    (
        "it is a limit for tools; max_position_embeddings is the model's",
        "max_sequence_length max_seq_length model_max_length seq_length \
         tokenizer_model_max_length",
    ),
    (
        "it arranges the computation and does not change it, rounding apart",
        "attn_implementation cache_implementation chunk_size_feed_forward dense_seq_output \
         fused_bias_fc fused_dropout_add_ln fused_mlp output_attentions output_hidden_states \
         output_past output_scores reorder_and_upcast_attn return_dict \
         return_dict_in_generate tie_encoder_decoder torchscript use_cache use_flash_attn \
         use_flash_attention_2 use_memory_efficient_attention use_xentropy",
    ),
    ("every decoder is one, and encoders read it", "is_decoder"),
    (
        "it belongs to a part that its switch has switched off",
        "max_window_layers num_experts_per_tok cross_attention_hidden_size",
    ),
];

/// Ends of names of fields that only training uses.
const TRAINING: [&str; 3] = ["dropout", "_pdrop", "dropout_prob"];

/// Fields that change results, by what they are, with the values that switch them off.
const CHANGES: &[(Idle, &str)] = &[
    // Attention.
    (
        Idle::Off,
        "add_cross_attention alibi attention_chunk_size attn_logit_softcap \
         attn_logit_softcapping attn_temperature_tuning clip_qkv is_encoder_decoder \
         kv_lora_rank layer_types no_rope_layer_interval no_rope_layers parallel_attn \
         parallel_block parallel_block_tied_norm pruned_heads q_lora_rank qk_layernorm \
         qk_norm query_pre_attn_scalar relative_attention scale_attn_by_inverse_layer_idx \
         sliding_window use_alibi use_bidirectional_attention use_parallel_residual \
         use_qk_layernorm use_qk_norm use_sliding_window",
    ),
    // Rotary positions that differ from those of the family, or in a family without them.
    (
        Idle::Off,
        "mrope_section rope_base rope_freq_base rope_interleave rope_interleaved \
         rope_local_base_freq rope_parameters rope_scaling rope_theta rotary_base rotary_dim \
         rotary_emb_base rotary_emb_interleaved rotary_emb_scale_base rotary_scaling_factor \
         use_mrope",
    ),
    (
        Idle::One,
        "interpolate_factor partial_rotary_factor rope_ratio rope_scaling_factor \
         rotary_emb_fraction rotary_pct rotary_percent",
    ),
    (Idle::Rotary, "position_embedding_type"),
    // Factors.
    (Idle::Off, "attention_multiplier dim_model_base"),
    (
        Idle::One,
        "attention_in_multiplier attention_out_multiplier embedding_multiplier \
         embedding_scale key_multiplier lm_head_multiplier logit_scale logits_scaling \
         mup_multiplier output_multiplier_scale residual_multiplier scale_depth scale_emb",
    ),
    (Idle::Off, "final_logit_softcapping logits_soft_cap normalize_embedding scale_embedding"),
    // Biases that the family does not have, norms in other places, experts, other kinds of weights.
    (
        Idle::Off,
        "attention_bias attention_out_bias compression_config embedding_layernorm \
         lm_head_bias mlp_bias mlp_fc1_bias mlp_fc2_bias n_routed_experts num_experts \
         num_local_experts post_norm prenorm qkv_bias qkv_proj_bias quantization_config \
         sandwich_norm text_config use_bias use_post_norm use_rms_norm vision_config",
    ),
];

/// Settings of generation that no model here serves. Without a `generation_config.json` they count,
/// so they are told where they are set.
const TOLD: &[(Idle, &str)] = &[
    (Idle::One, "encoder_repetition_penalty guidance_scale num_beam_groups num_beams"),
    (
        Idle::Off,
        "encoder_no_repeat_ngram_size exponential_decay_length_penalty forced_bos_token_id \
         forced_eos_token_id penalty_alpha sequence_bias",
    ),
];

/// Settings of generation that decoders read. Encoders generate nothing.
const OF_DECODERS: &str = "bad_words_ids begin_suppress_tokens min_length min_new_tokens \
    no_repeat_ngram_size repetition_penalty suppress_tokens";

impl Idle {
    /// Whether a field with this value changes nothing.
    fn holds(self, value: &Value) -> bool {
        let off = match value {
            Value::Null | Value::Bool(false) => true,
            Value::Bool(true) => false,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty() || text == "none",
            Value::Array(list) => list.is_empty(),
            Value::Object(fields) => fields.is_empty(),
        };
        match self {
            Idle::Off => off,
            Idle::One => value.is_null() || value.as_f64() == Some(1.0),
            Idle::Rotary => off || matches!(value.as_str(), Some("rope" | "rotary")),
        }
    }

    /// The values, in words.
    const fn words(self) -> &'static str {
        match self {
            Idle::Off => "no value, or one that switches it off",
            Idle::One => "no value, or 1",
            Idle::Rotary => "no value, or rope",
        }
    }
}

/// Checks the fields that nothing has read. Returns the names of those whose effect is not known.
///
/// # Errors
/// `invalid_config` for a field that changes results.
pub(super) fn check(fields: &Fields<'_>) -> Result<Vec<String>> {
    let listed = |list: &[(Idle, &str)], field: &str| {
        let row = list.iter().find(|(_, names)| has(names, field));
        row.map(|(idle, _)| *idle)
    };
    let mut told = Vec::new();
    for (field, value) in fields.unread() {
        if let Some(idle) = listed(CHANGES, field) {
            if !idle.holds(value) {
                return Err(fields.not_supported(field, value, idle.words()));
            }
        } else if let Some(idle) = listed(TOLD, field) {
            if !idle.holds(value) {
                told.push(field.clone());
            }
        } else if !harmless(field) {
            told.push(field.clone());
        }
    }
    Ok(told)
}

/// Whether a list, with spaces between its names, has this name.
pub(super) fn has(names: &str, field: &str) -> bool {
    names.split_whitespace().any(|name| name == field)
}

/// Whether a field is known to change nothing. Names with an underscore in front are notes that
/// programs make for themselves.
fn harmless(field: &str) -> bool {
    let listed = HARMLESS.iter().any(|(_, names)| has(names, field)) || has(OF_DECODERS, field);
    listed || field.starts_with('_') || TRAINING.iter().any(|end| field.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_listed_once_and_every_reason_said() {
        let harmless = HARMLESS.iter().map(|(_, names)| *names);
        let changes = CHANGES.iter().chain(TOLD).map(|(_, names)| *names);
        let all = harmless.chain(changes).chain([OF_DECODERS]);
        let mut all: Vec<&str> = all.flat_map(str::split_whitespace).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "{all:?}");
        assert!(HARMLESS.iter().all(|(reason, names)| !reason.is_empty() && !names.is_empty()));
    }
}
