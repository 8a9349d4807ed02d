//! Tokenizers and chat templates.

use super::row::remedies;

/// For a file that is not what it should be.
const TEMPLATE_DAMAGED: &str = "Download tokenizer_config.json again: it is not a JSON object.";

remedies! {
    TOKENIZER_MISSING: InvalidTokenizer, Everywhere, "tokenizer.json is missing" =>
        "Put tokenizer.json beside the weights. If the model was published with tokenizer.model or \
         vocab.json only, save its tokenizer as tokenizer.json with transformers.";
    TOKENIZER_TOO_LONG: InvalidTokenizer, Everywhere, "tokenizer.json is implausibly long" =>
        "This is not a tokenizer.json: name the right file.";
    TOKENIZER_NOT_READ: InvalidTokenizer, Everywhere, "the tokenizer cannot be read" =>
        "Compare the tokenizer with the published one and download it again if it differs. A tokenizer \
         that uses a newer feature is not supported.";
    TOKENIZER_UNBOUNDED: InvalidTokenizer, Everywhere,
        "the tokenizer may take too much time or memory" =>
        "Compare the tokenizer with the published one and download it again if it differs. One that breaks \
         a bound as published is not supported.";
    TEXT_TOO_LONG: InvalidInput, Everywhere, "texts are too long to be cut into tokens" =>
        "Send less text at once, or shorten the conversation.";
    TOKENIZER_TOO_LARGE: InvalidTokenizer, Everywhere,
        "the tokenizer has a token that the model does not have" =>
        "Use tokenizer and weights of one revision: the model has {} tokens.";
    TOKENIZER_NO_ROOM: InvalidTokenizer, Everywhere,
        "the model's longest input has no room for a text" =>
        "Correct max_position_embeddings in the configuration: with {} tokens there is no room for a text.";
    TEXT_NOT_TOKENIZED: InvalidTokenizer, Everywhere, "the tokenizer does not take a text" =>
        "Try another text. If none is taken, use the tokenizer that was published with the weights.";
    TOKENS_WITHOUT_TEXT: InvalidTokenizer, Everywhere, "the tokenizer has no text for tokens" =>
        "Use the tokenizer that was published with the weights.";
    TOKEN_NOT_ADDED: InvalidTokenizer, Everywhere,
        "tokenizer.json lacks a token that tokenizer_config.json adds" =>
        "Use tokenizer.json and tokenizer_config.json of one revision. If the model was published so, \
         save its tokenizer again with transformers.";
    NO_TOKENIZER: InvalidTokenizer, Everywhere, "the model was loaded without a tokenizer" =>
        "Load the model with its tokenizer. If its file holds none, use the safetensors release.";
    TEMPLATE_MISSING: InvalidTemplate, Everywhere, "tokenizer_config.json is missing" =>
        "Put tokenizer_config.json beside the weights, as it was published with them.";
    TEMPLATE_TOO_LONG: InvalidTemplate, Everywhere,
        "a file of the tokenizer or of its templates is implausibly long" =>
        "This is not the right file: put the published one there.";
    TEMPLATE_NOT_JSON: InvalidTemplate, Everywhere,
        "tokenizer_config.json is not a JSON object" => TEMPLATE_DAMAGED;
    TEMPLATE_NOT_UTF8: InvalidTemplate, Everywhere, "a chat template in a file of its own is not UTF-8" =>
        "Save the template as UTF-8, or remove its file.";
    TEMPLATE_NO_DEFAULT: InvalidTemplate, Everywhere, "no chat template is named default" =>
        "Name one of the templates default, or write the right one to chat_template.jinja beside \
         tokenizer_config.json.";
    TEMPLATE_NOT_TEXT: InvalidTemplate, Everywhere, "chat_template is not a text" =>
        "Write chat_template as a text, or write the template to chat_template.jinja beside \
         tokenizer_config.json.";
    TEMPLATE_NONE: InvalidTemplate, Everywhere, "the model has no chat template" =>
        "Use the release that is trained for conversations, which has a chat template. If one was \
         published for this model, write it to chat_template.jinja beside tokenizer_config.json.";
    TEMPLATE_NOT_PARSED: InvalidTemplate, Everywhere,
        "the chat template is not valid, or uses syntax that is not supported" =>
        "Correct the chat template at the line that is named.";
    TEMPLATE_NOT_SUPPORTED: InvalidTemplate, Everywhere,
        "the chat template uses a function, filter, test or method that is not supported" =>
        "This loader does not support it: use a chat template without it.";
    TEMPLATE_REFUSES: InvalidTemplate, Everywhere, "the chat template refuses the conversation" =>
        "Change the conversation as the template's own message says. The template may refuse a \
         system turn, or two turns of one role after each other.";
    TEMPLATE_ENDLESS: InvalidTemplate, Everywhere, "the chat template takes too many steps or too much memory" =>
        "Use another chat template: this one does not end within the steps and the memory that are \
         allowed.";
    TEMPLATE_FAILS: InvalidTemplate, Everywhere, "the chat template fails while it is rendered" =>
        "Correct the chat template at the line that is named.";
    SPECIAL_NOT_TEXT: InvalidTemplate, Everywhere, "a special token is not a text" =>
        "Write the special tokens of tokenizer_config.json and special_tokens_map.json as texts, as \
         objects with content, or as null.";
    SPECIAL_NOT_JSON: InvalidTemplate, Everywhere,
        "a file beside tokenizer_config.json that may set special tokens is not JSON" =>
        "Download the file that is named again: it is not JSON of the published form.";
    NO_TEMPLATE: InvalidTemplate, Everywhere, "the model was loaded without a chat template" =>
        "Load the model with its chat template. If its file holds none, use the safetensors release.";
}
