//! Steps in which a decoder generates from a prompt.

use serde::Deserialize;

use super::expect::Refusal;
use crate::contract::generation::{Role, Sampling, Stop};

/// Lets a model generate, and judges every token by the oracle: greedy, each must be the oracle's
/// choice on the tokens before it; sampled, it must lie among those that the oracle allows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// What it goes on from.
    pub prompt: PromptSource,
    /// Most tokens.
    #[serde(default = "some_tokens")]
    pub limit: u32,
    /// How tokens are chosen; the most likely one unless told.
    #[serde(default)]
    pub sampling: Option<Sampling>,
    /// How often: each time must give the same tokens.
    #[serde(default = "once")]
    pub times: u32,
    /// Whether the logits of every step are asked for and compared.
    #[serde(default)]
    pub logits: bool,
    /// Largest difference of a logit from the oracle's, relative to the row's largest, at least 1.
    #[serde(default = "tolerance")]
    pub tolerance: f64,
    /// Why it must stop; any reason that is true unless told.
    #[serde(default)]
    pub stops: Option<Stop>,
    /// What must stand in the decoded answer.
    #[serde(default)]
    pub contains: Option<String>,
    /// How many of the tokens are judged, from the first on; all unless told. Of a large model the
    /// oracle takes its time.
    #[serde(default)]
    pub judged: Option<usize>,
    /// Whether there must be an answer: text, readable, before the sequence ends.
    #[serde(default)]
    pub says: bool,
    /// Of sampled tokens: whether some must be others than the most likely.
    #[serde(default)]
    pub varies: bool,
    /// How it must be refused; absent where it must answer.
    #[serde(default)]
    pub refused: Option<Refusal>,
}

fn some_tokens() -> u32 {
    16
}

fn tolerance() -> f64 {
    1e-5
}

fn once() -> u32 {
    1
}

/// Lets a model sample many answers to one prompt, each with another seed. Each token must be allowed, a
/// seed must decide, and tokens must come as often as the oracle's probabilities say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// What it goes on from.
    pub prompt: PromptSource,
    /// How many answers.
    pub answers: u32,
    /// Most tokens of each.
    pub limit: u32,
    /// The temperature, above 0.
    pub temperature: f32,
    /// The sum of probabilities.
    pub top_p: f32,
    /// Whether some of the seeds differ only in their upper 32 bits.
    #[serde(default)]
    pub wide_seeds: bool,
}

/// Runs two models with the same weights on the same batch and the same prompt. Outputs, logits and tokens
/// must have the same bits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitIdentical {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// The other one.
    pub to: String,
    /// Sentences of the batch.
    #[serde(default = "some_rows")]
    pub rows: usize,
    /// Tokens of the prompt.
    #[serde(default = "some_prompt")]
    pub prompt: usize,
    /// Most tokens behind it.
    #[serde(default = "some_tokens")]
    pub limit: u32,
}

fn some_rows() -> usize {
    2
}

fn some_prompt() -> usize {
    9
}

/// Where a prompt comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptSource {
    /// This many random tokens.
    Random(usize),
    /// These ids.
    Ids(Vec<u32>),
    /// A conversation.
    Chat(Vec<(Role, String)>),
    /// A random conversation of this many turns, in words that the model's tokenizer knows.
    Talk(usize),
    /// A text of the SentencePiece goldens, by its number: the turn of a user, to a file whose template
    /// adds nothing.
    Pieces(usize),
    /// The same of the byte-level goldens, by the way to split it and its number.
    Pairs(String, usize),
    /// A text without its template, as tokens.
    Bare(String),
    /// The conversation of the model's golden template.
    Golden,
    /// The prompt after which the model was built to end its sequence.
    Ending,
    /// An id equal to the vocabulary's size.
    IdBeyond,
    /// The model's longest input and this many tokens; a negative number leaves room.
    Beyond(i64),
}

impl PromptSource {
    /// Whether the loader gets turns, which it renders with a chat template, and not tokens.
    pub fn is_conversation(&self) -> bool {
        match self {
            PromptSource::Chat(_)
            | PromptSource::Talk(_)
            | PromptSource::Pieces(_)
            | PromptSource::Pairs(..)
            | PromptSource::Golden => true,
            PromptSource::Random(_)
            | PromptSource::Ids(_)
            | PromptSource::Bare(_)
            | PromptSource::Ending
            | PromptSource::IdBeyond
            | PromptSource::Beyond(_) => false,
        }
    }
}

/// Measures generation from random prompts. The time per token is the time of the tokens after the first,
/// as the median of three runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throughput {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Tokens to generate.
    pub tokens: u32,
    /// Longest time from the request to the first token, in milliseconds.
    #[serde(default)]
    pub first_within_ms: Option<f64>,
    /// Least rate of tokens behind the first.
    #[serde(default)]
    pub least_per_second: Option<f64>,
    /// Tokens of a longer prompt, to be compared with...
    #[serde(default)]
    pub longer_prompt: Option<usize>,
    /// ...by the exponent of a token's time over the length: 0 is no growth, 1 linear.
    #[serde(default)]
    pub most_exponent: Option<f64>,
    /// Another model, that this one must be faster than...
    #[serde(default)]
    pub than: Option<String>,
    /// ...so many times.
    #[serde(default)]
    pub least_times: Option<f64>,
    /// Least utilisation of the card meanwhile, in percent, by NVML.
    #[serde(default)]
    pub least_busy: Option<f64>,
    /// How far its rate may lie below that of the run's GGUF runtime over the same weights, in percent.
    #[serde(default)]
    pub most_shortfall: Option<f64>,
}
