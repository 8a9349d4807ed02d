//! config.json and generation_config.json, and the configuration inside GGUF and APR files.

use super::row::remedies;

/// For sizes that do not go together.
const CONTRADICTS: &str = "The configuration contradicts itself: compare it with the one that was \
    published with the weights.";

remedies! {
    CONFIG_MISSING: InvalidConfig, Everywhere, "config.json is missing" =>
        "Put config.json beside the weights.";
    CONFIG_TOO_LONG: InvalidConfig, Everywhere, "config.json is implausibly long" =>
        "This is not a config.json: name the right file.";
    GENERATION_CONFIG_MISSING: InvalidConfig, Protocol,
        "the generation_config.json that is named is missing" =>
        "Put generation_config.json there, or load without `generation`.";
    GENERATION_CONFIG_TOO_LONG: InvalidConfig, Everywhere,
        "generation_config.json is implausibly long" =>
        "Correct or remove generation_config.json.";
    CONFIG_NOT_UTF8: InvalidConfig, Everywhere, "the configuration is not UTF-8" =>
        "Save the file as UTF-8.";
    CONFIG_NOT_JSON: InvalidConfig, Everywhere, "the configuration is not strict JSON" =>
        "Correct the text at this place. JSON has no Infinity, no NaN, no comments and no comma \
         before a closing bracket.";
    CONFIG_KEY_TWICE: InvalidConfig, Everywhere, "the configuration has a key twice" =>
        "Remove one of the two entries {}.";
    CONFIG_FIELD_MISSING: InvalidConfig, Everywhere, "the configuration lacks a field" =>
        "Add the field `{}`, with the value that was published with the weights.";
    CONFIG_FIELD_RENAMED: InvalidConfig, Everywhere,
        "the configuration names a field as another architecture does" =>
        "The configuration has `{}`; for this model_type it must be named `{}`. Rename the field, or \
         correct model_type.";
    CONFIG_FIELD_TWICE: InvalidConfig, Everywhere,
        "the configuration states one thing in two places, differently" =>
        "Remove `{}` or `{}`: keep the one that was published with the weights.";
    CONFIG_FIELD_KIND: InvalidConfig, Everywhere,
        "a field of the configuration has the wrong kind of value" =>
        "Correct the field `{}`: write what is expected.";
    CONFIG_END_TOKEN: InvalidConfig, Everywhere, "eos_token_id is not a token of the vocabulary" =>
        "Correct eos_token_id or vocab_size: every end token must be below vocab_size.";
    CONFIG_PAD_TOKEN: InvalidConfig, Everywhere, "pad_token_id is not a token of the vocabulary" =>
        "Correct pad_token_id or vocab_size: the padding token must be below vocab_size.";
    CONFIG_NOT_SUPPORTED: InvalidConfig, Everywhere,
        "the configuration asks for something that is not supported" =>
        "This loader does not support {}: use a model without it.";
    CONFIG_ROPE_SCALING: InvalidConfig, Everywhere,
        "the scaling of rotary positions is of a kind that is not supported" =>
        "This loader does not support rope_type {}. If the field is removed, the model serves its \
         original context length only.";
    CONFIG_ROPE_TYPE_MISSING: InvalidConfig, Everywhere,
        "the scaling of rotary positions has values and no type" =>
        "Write the type of scaling into `{}`, or remove `{}`.";
    CONFIG_LAYER_TYPES: InvalidConfig, Everywhere,
        "some layers attend to a window and others to everything" =>
        "This loader gives all layers the same attention: use a model in which `{}` does not tell \
         layers apart.";
    CONFIG_ROPE_FORM: InvalidConfig, Everywhere,
        "the scaling of rotary positions is not an object" =>
        "Write {} as an object with `rope_type`, or remove it.";
    CONFIG_ROPE_BASE: InvalidConfig, Everywhere, "rope_theta is not above 1" =>
        "Correct rope_theta: it must be above 1.";
    CONFIG_ROPE_CONTRADICTS: InvalidConfig, Everywhere,
        "the scaling of rotary positions contradicts itself" =>
        "Correct the scaling: low_freq_factor must be below high_freq_factor, and factor at least 1.";
    GENERATION_NOT_SUPPORTED: InvalidConfig, Everywhere,
        "generation_config.json asks for something that is not supported" =>
        "This loader does not support {}: remove it from generation_config.json.";
    GENERATION_TOKENS_NONE: InvalidConfig, Everywhere,
        "generation_config.json forbids every token" =>
        "Correct `{}` in generation_config.json: at least one token must be left.";
    CONFIG_TIE_ABSENT: InvalidConfig, Everywhere,
        "the weights hold a head of their own, and the configuration does not say which counts" =>
        "Write tie_word_embeddings into config.json: false if {} is the head, true if the word \
         embeddings are.";
    CONFIG_CONTRADICTS: InvalidConfig, Everywhere,
        "two sizes of the configuration contradict each other" => CONTRADICTS;
    CONFIG_HEAD_DIM: InvalidConfig, Everywhere,
        "head_dim is not hidden_size divided by num_attention_heads" =>
        "For this model_type, head_dim must be hidden_size divided by num_attention_heads: correct \
         the configuration, or use another model.";
    ARCHITECTURE_NOT_KNOWN: UnknownArchitecture, Everywhere,
        "model_type names an architecture that is not supported" =>
        "Use a model of one of the expected architectures.";
}
