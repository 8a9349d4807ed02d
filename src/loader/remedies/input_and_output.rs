//! What a model is given to compute with, and what it gives back.

use super::row::remedies;

remedies! {
    INPUT_TOKENS_WANTED: InvalidInput, Protocol, "vectors are given to a model that takes tokens" =>
        "Give `input_ids` and `attention_mask`: this model takes tokens.";
    INPUT_VECTORS_WANTED: InvalidInput, Protocol,
        "tokens are given to a model that takes vectors" =>
        "Give `vectors`: this model takes vectors.";
    INPUT_VECTOR_SIZE: InvalidInput, Protocol, "vectors have another size than the model takes" =>
        "Give at least one vector, each of {} values.";
    INPUT_NOT_FINITE: InvalidInput, Protocol, "an input value is NaN or infinite" =>
        "Replace the value with a finite number.";
    INPUT_EMPTY: InvalidInput, Everywhere, "a batch holds no token" =>
        "Give at least one text or row with at least one token.";
    INPUT_TOO_LONG: InvalidInput, Everywhere, "a row has more tokens than the model takes" =>
        "Shorten the input: this model takes at most {} tokens a row.";
    INPUT_SHAPES_DIFFER: InvalidInput, Protocol, "the tensors of an input have different shapes" =>
        "Give `input_ids`, `attention_mask` and `token_type_ids` the same shape.";
    INPUT_OUT_OF_RANGE: InvalidInput, Everywhere, "an id, a mask value or a type is out of range" =>
        "Make the input with the model's own tokenizer: values of {} must be in the expected range.";
    INPUT_ROW_MASKED: InvalidInput, Protocol, "a row's mask holds no 1" =>
        "Put a 1 in `attention_mask` for every token of row {}.";
    INPUT_TENSOR_MISSING: InvalidInput, Everywhere, "the input file lacks a tensor" =>
        "Write the tensor {} to the input file.";
    INPUT_TENSOR_FORM: InvalidInput, Everywhere,
        "a tensor of the input file has another element type or rank" =>
        "Write the tensor {} with the expected element type and shape.";
    PROMPT_EMPTY: InvalidInput, Everywhere, "the last turn of the conversation is empty" =>
        "Give a text that is not empty.";
    PROMPT_NO_TOKENS: InvalidInput, Everywhere, "a prompt has no tokens" =>
        "Give a prompt of at least one token.";
    PROMPT_TOO_LONG: InvalidInput, Everywhere, "a prompt is longer than the model's context" =>
        "Shorten the prompt, or begin a new conversation.";
    PROMPT_OUT_OF_RANGE: InvalidInput, Everywhere,
        "a prompt has a token that the model does not have" =>
        "Make the tokens with the model's own tokenizer.";
    OUTPUT_NOT_FINITE: OutputNotFinite, Everywhere, "the model computes NaN or infinity" =>
        "Check the model with `weighbridge validate`. If it is sound, report this with the message.";
}
