//! The keys of GGUF's metadata that are read, or that are known to change nothing. All others are
//! passed on. Unknown keys of the architecture are refused before.

/// Keys that are read, and keys that describe the file only.
const KNOWN: [&str; 10] = [
    "general.architecture",
    "general.alignment",
    "general.file_type",
    "general.quantization_version",
    "split.no",
    "split.count",
    "split.tensors.count",
    "tokenizer.chat_template",
    "tokenizer.chat_template.default",
    "tokenizer.huggingface.json",
];

/// Beginnings of keys that describe where a model comes from, and how it was packed.
const DESCRIPTIONS: [&str; 26] = [
    "general.type",
    "general.name",
    "general.author",
    "general.version",
    "general.organization",
    "general.finetune",
    "general.basename",
    "general.description",
    "general.quantized_by",
    "general.size_label",
    "general.license",
    "general.url",
    "general.doi",
    "general.uuid",
    "general.repo_url",
    "general.source",
    "general.base_model",
    "general.dataset",
    "general.tags",
    "general.languages",
    "general.datasets",
    "general.parameter_count",
    "quantize.imatrix.",
    "mradermacher.",
    "gguf.",
    "GGUF.",
];

/// Keys after `tokenizer.ggml.` that are read, or that concern neither the text of a decoder nor its
/// answer: separators and masks of encoders, and the tokens for filling in the middle.
const TOKENIZER: [&str; 30] = [
    "model",
    "pre",
    "tokens",
    "token_type",
    "scores",
    "merges",
    "add_bos_token",
    "add_eos_token",
    "add_sep_token",
    "add_space_prefix",
    "remove_extra_whitespaces",
    "precompiled_charsmap",
    "bos_token_id",
    "eos_token_id",
    "eot_token_id",
    "eom_token_id",
    "unknown_token_id",
    "padding_token_id",
    "seperator_token_id",
    "separator_token_id",
    "cls_token_id",
    "mask_token_id",
    "fim_pre_token_id",
    "fim_suf_token_id",
    "fim_mid_token_id",
    "fim_pad_token_id",
    "fim_rep_token_id",
    "fim_sep_token_id",
    "prefix_token_id",
    "token_type_count",
];

/// Whether a key is read or known to change nothing.
pub(super) fn known(architecture: &str, key: &str) -> bool {
    let described = DESCRIPTIONS.iter().any(|start| key.starts_with(start));
    let tokenizer = key.strip_prefix("tokenizer.ggml.");
    KNOWN.contains(&key)
        || described
        || tokenizer.is_some_and(|key| TOKENIZER.contains(&key))
        || key.strip_prefix(architecture).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::known;

    #[test]
    fn keys_of_no_known_meaning_are_strangers() {
        for key in ["general.name", "llama.rope.freq_base", "tokenizer.ggml.scores", "split.no"] {
            assert!(known("llama", key), "{key}");
        }
        for key in ["general.sampling.temp", "llamas.rope", "tokenizer.ggml.suppress_tokens"] {
            assert!(!known("llama", key), "{key}");
        }
    }
}
