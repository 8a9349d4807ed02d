//! Text generation: the prompt, how the next token is chosen, and why generation stopped.

use serde::{Deserialize, Serialize};

/// F32: logits. For a generation, shape `[tokens, vocabulary]`: a row has the logits from which its
/// token was chosen, as the model gives them, before any setting of `generation_config.json`.
pub const LOGITS: &str = "logits";

/// The prompt that a model continues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Prompt {
    /// Token ids, taken as they are.
    Tokens(Vec<u32>),
    /// A conversation. The loader must render it with the model's own chat template and tokenizer,
    /// and must open the assistant's turn at its end.
    Chat(Vec<Turn>),
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// The text.
    pub content: String,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions for the model.
    System,
    /// The person or program that asks the model.
    User,
    /// The model.
    Assistant,
}

/// How the next token is chosen. The probabilities are `softmax(logits / temperature)`. Only the
/// smallest set of most likely tokens whose probabilities add up to at least `top_p` is allowed.
/// The same seed gives the same tokens on the same device. Seeds that differ in any bit draw
/// independently: over many seeds, and over the tokens of an answer, tokens come as often as they
/// are probable.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// The logits are divided by this. 0 chooses the most likely token; of equal ones, that with
    /// the lowest id.
    pub temperature: f32,
    /// Sum of probabilities that the allowed tokens must reach: above 0, at most 1.
    pub top_p: f32,
    /// Seed of the random choice.
    pub seed: u64,
}

impl Sampling {
    /// The most likely token, always.
    pub const GREEDY: Sampling = Sampling { temperature: 0.0, top_p: 1.0, seed: 0 };
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The model generated one of its end tokens. It is the last of the tokens.
    EndOfSequence,
    /// The number of tokens that the request asks for is reached.
    Limit,
    /// The model's longest input is reached.
    Context,
}
