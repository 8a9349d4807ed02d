//! Tensors that an architecture needs, by name, shape and element type.

use super::row::remedies;

remedies! {
    TENSORS_MISSING: IncompleteModel, Everywhere, "tensors are missing" =>
        "Download the checkpoint again, all shards from one revision.";
    NAMES_PARTLY_PREFIXED: IncompleteModel, Everywhere,
        "only some tensors lie inside the same modules" =>
        "{} and {} have different prefixes: save the model again with one prefix for all tensors.";
    TWO_CLAIM_A_NAME: IncompleteModel, Everywhere, "two tensors claim one name" =>
        "Without their prefixes, {} and {} have the same name: remove the one that is left over.";
    NAMES_PREFIXED: IncompleteModel, Everywhere, "all names have a prefix" =>
        "The names in this file begin with {}: save the model again without that prefix.";
    ADAPTER_ALONE: IncompleteModel, Everywhere,
        "the file is a LoRA adapter without its base model" =>
        "This is a LoRA adapter: merge it into its base model first, and load the result.";
    QUANTISED_NAMES: IncompleteModel, Everywhere,
        "the weights are quantised in a way that is not supported" =>
        "This checkpoint is quantised (it has tensors such as {}): use the F16, BF16 or GGUF release.";
    HEAD_MISSING: IncompleteModel, Everywhere, "the language model's head is missing" =>
        "If the model uses its word embeddings as head, set tie_word_embeddings to true in the \
         configuration. Otherwise download the checkpoint again: {} is missing.";
    MASKED_HEAD_MISSING: IncompleteModel, Everywhere,
        "the head of a masked language model is missing" =>
        "Use the release with the head of the masked language model: these weights hold the \
         encoder alone.";
    SHAPE_DIFFERS: ShapeMismatch, Everywhere, "a tensor's shape is not that of the configuration" =>
        "Use weights and configuration of one revision.";
    SHAPE_OF_DEFAULT: ShapeMismatch, Everywhere,
        "a tensor's shape is not that of the default of an absent field" =>
        "Write into config.json the size that these weights have: {}.";
    WEIGHT_TYPE: ShapeMismatch, Everywhere, "a weight is not of a floating-point type" =>
        "Save this tensor as F32, F16 or BF16.";
}
