//! The fields that a family's published configurations ordinarily have: those that the transformers
//! library writes for it, and those of older exports of the same library. The lists are the judge's own.

use std::collections::BTreeSet;

use super::fields::Fields;
use crate::harness::model::Architecture;

/// A fact under the family's own name, and under the names that other families give it.
pub(super) struct Fact {
    pub(super) own: &'static str,
    pub(super) others: &'static [&'static str],
    /// Whether every published configuration of the family states it.
    pub(super) stated: bool,
}

const fn fact(own: &'static str, others: &'static [&'static str], stated: bool) -> Fact {
    Fact { own, others, stated }
}

const OF_LLAMA: [Fact; 10] = [
    fact("hidden_size", &["n_embd", "d_model", "dim", "model_dim"], true),
    fact("num_hidden_layers", &["n_layer", "n_layers", "num_layers"], true),
    fact("num_attention_heads", &["n_head", "n_heads", "num_heads"], true),
    fact("num_key_value_heads", &["n_kv_heads", "num_kv_heads"], false),
    fact("intermediate_size", &["n_inner", "hidden_dim", "ffn_dim", "d_ff"], true),
    fact("max_position_embeddings", &["n_positions", "n_ctx", "max_seq_len"], true),
    fact("rms_norm_eps", &["rms_norm_epsilon", "layer_norm_eps", "norm_eps", "norm_epsilon"], true),
    fact("hidden_act", &["activation_function", "hidden_activation", "activation"], true),
    fact("vocab_size", &["n_vocab", "vocabulary_size"], true),
    fact("rope_theta", &["rope_base", "rotary_base", "rotary_emb_base", "rope_freq_base"], false),
];

const OF_BERT: [Fact; 9] = [
    fact("hidden_size", &["n_embd", "d_model", "dim", "model_dim"], true),
    fact("num_hidden_layers", &["n_layer", "n_layers", "num_layers"], true),
    fact("num_attention_heads", &["n_head", "n_heads", "num_heads"], true),
    fact("intermediate_size", &["n_inner", "hidden_dim", "ffn_dim", "d_ff"], true),
    fact("max_position_embeddings", &["n_positions", "n_ctx", "max_seq_len"], true),
    fact("layer_norm_eps", &["layer_norm_epsilon", "rms_norm_eps", "norm_eps"], true),
    fact("hidden_act", &["activation_function", "hidden_activation", "activation"], true),
    fact("type_vocab_size", &[], true),
    fact("vocab_size", &["n_vocab", "vocabulary_size"], true),
];

const OF_GPT2: [Fact; 8] = [
    fact("n_embd", &["hidden_size", "d_model", "dim", "model_dim"], true),
    fact("n_layer", &["num_hidden_layers", "n_layers", "num_layers"], true),
    fact("n_head", &["num_attention_heads", "n_heads", "num_heads"], true),
    fact("n_inner", &["intermediate_size", "hidden_dim", "ffn_dim", "d_ff"], false),
    fact("n_positions", &["max_position_embeddings", "max_seq_len"], true),
    fact("layer_norm_epsilon", &["layer_norm_eps", "rms_norm_eps", "norm_eps"], true),
    fact("activation_function", &["hidden_act", "hidden_activation", "activation"], true),
    fact("vocab_size", &["n_vocab", "vocabulary_size"], true),
];

/// Fields of any family. The names have spaces between them.
const ANY: &str = "_attn_implementation _name_or_path add_cross_attention architectures \
    attention_dropout attn_implementation auto_map bos_token_id chunk_size_feed_forward dtype \
    eos_token_id finetuning_task gradient_checkpointing id2label initializer_factor \
    initializer_range is_decoder is_encoder_decoder label2id model_type output_attentions \
    output_hidden_states output_past pad_token_id problem_type return_dict task_specific_params \
    tie_word_embeddings tokenizer_class torch_dtype transformers.js_config transformers_version \
    use_cache vocab_size";

/// Fields of all decoders after Llama.
const LLAMA: &str = "head_dim num_key_value_heads pretraining_tp rope_parameters rope_scaling \
    rope_theta";

/// Fields of BERT and RoBERTa.
const BERT: &str = "attention_probs_dropout_prob classifier_dropout directionality \
    hidden_dropout_prob pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers \
    pooler_size_per_head pooler_type position_embedding_type type_vocab_size";

/// Fields of GPT-2.
const GPT2: &str = "attn_pdrop embd_pdrop n_ctx n_inner reorder_and_upcast_attn resid_pdrop \
    scale_attn_by_inverse_layer_idx scale_attn_weights summary_activation summary_first_dropout \
    summary_proj_to_labels summary_type summary_use_proj";

/// Fields of NomicBERT by the code that it was published with.
const NOMIC: &str = "activation_function causal dense_seq_output fused_bias_fc \
    fused_dropout_add_ln layer_norm_epsilon max_trained_positions mlp_fc1_bias mlp_fc2_bias n_embd \
    n_head n_layer n_positions pad_vocab_size_multiple parallel_block parallel_block_tied_norm \
    prenorm qkv_proj_bias rotary_emb_base rotary_emb_fraction rotary_emb_interleaved \
    rotary_emb_scale_base rotary_scaling_factor use_flash_attn use_rms_norm use_xentropy";

/// Fields of Llama, Mistral, Qwen2, Qwen3 and Phi-3, each besides those of all.
const OF_SOME: [&str; 5] = [
    "attention_bias mlp_bias is_llama_config rope_interleaved",
    "sliding_window",
    "layer_types max_window_layers sliding_window use_sliding_window",
    "attention_bias layer_types max_window_layers sliding_window use_sliding_window",
    "attention_bias embd_pdrop original_max_position_embeddings partial_rotary_factor resid_pdrop \
     sliding_window",
];

/// The facts of a family.
pub(super) fn facts(architecture: Architecture, fields: &Fields<'_>) -> &'static [Fact] {
    match architecture {
        Architecture::Gpt2 => &OF_GPT2,
        Architecture::NomicBert if fields.has("n_embd") => &OF_GPT2,
        Architecture::Bert | Architecture::Roberta | Architecture::NomicBert => &OF_BERT,
        _ => &OF_LLAMA,
    }
}

/// Every field that the judge knows of any family, under any of its names.
pub fn keys() -> BTreeSet<&'static str> {
    let facts = OF_LLAMA.iter().chain(&OF_BERT).chain(&OF_GPT2);
    let names = facts.flat_map(|fact| [fact.own].into_iter().chain(fact.others.iter().copied()));
    let more = [ANY, LLAMA, BERT, GPT2, NOMIC].into_iter().chain(OF_SOME);
    names.chain(more.flat_map(str::split_whitespace)).collect()
}

/// Whether a field is an ordinary one of the family, besides those of its facts.
pub(super) fn is_usual(architecture: Architecture, fields: &Fields<'_>, name: &str) -> bool {
    use Architecture::{Bert, Gpt2, Llama, Mistral, NomicBert, Phi3, Qwen2, Qwen3, Roberta};
    let [llama, mistral, qwen2, qwen3, phi3] = OF_SOME;
    let more: &[&str] = match architecture {
        Llama => &[LLAMA, llama],
        Mistral => &[LLAMA, mistral],
        Qwen2 => &[LLAMA, qwen2],
        Qwen3 => &[LLAMA, qwen3],
        Phi3 => &[LLAMA, phi3],
        Gpt2 => &[GPT2],
        NomicBert if fields.has("n_embd") => &[GPT2, NOMIC, "type_vocab_size"],
        NomicBert => &[BERT, "head_dim rope_parameters rope_theta"],
        Bert | Roberta => &[BERT],
        _ => &[],
    };
    let has = |names: &str| names.split_whitespace().any(|one| one == name);
    has(ANY) || more.iter().any(|names| has(names))
}
