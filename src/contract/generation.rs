//! Generation: what a model is asked to go on from, how its next token is chosen, and why it stopped.

use serde::{Deserialize, Serialize};

/// F32: logits. Of a generation, shape `[tokens, vocabulary]`: those that each token was chosen from.
pub const LOGITS: &str = "logits";

/// What a model is to go on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Prompt {
    /// Token ids, taken as they are.
    Tokens(Vec<u32>),
    /// A conversation. It reaches the model through the model's own chat template and tokenizer,
    /// the assistant's turn opened behind it, and in no other way.
    Chat(Vec<Turn>),
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Whoever sets the rules.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

/// How the next token is chosen: from `softmax(logits / temperature)`, among the fewest most likely
/// tokens whose probabilities reach `top_p` together. The same seed gives the same tokens on the same
/// device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Divides the logits; 0 chooses the most likely token, the lowest id among equals.
    pub temperature: f32,
    /// Above 0, at most 1.
    pub top_p: f32,
    /// Of the numbers that decide.
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
    /// The model gave one of its end tokens: the last of the tokens.
    EndOfSequence,
    /// As many tokens as were asked for.
    Limit,
    /// The model's longest input is reached.
    Context,
}
