//! Steps that run models.

use serde::{Deserialize, Serialize};

use super::expect::Refusal;
use crate::harness::model::registry::Scale;

/// Runs a model and judges its output.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// A name for the input: steps that give the same name give the same input to models of one size.
    #[serde(default)]
    pub input: Option<String>,
    /// Sentences of the batch, each of another length unless `tokens` is told.
    #[serde(default = "some_rows")]
    pub rows: usize,
    /// Tokens of each, where all are as long.
    #[serde(default)]
    pub tokens: Option<usize>,
    /// How the tokens lie in the batch.
    #[serde(default)]
    pub form: Form,
    /// Whether the input is texts.
    #[serde(default)]
    pub texts: bool,
    /// Of texts: these, in place of random ones. `$N` stands for a word of the tokenizer.
    #[serde(default)]
    pub said: Vec<String>,
    /// Of texts: whether one is longer than the model takes, and must be cut.
    #[serde(default)]
    pub too_long: bool,
    /// Whether the states behind every layer are asked for and compared.
    #[serde(default)]
    pub trace: bool,
    /// How often: each time must give the same bits.
    #[serde(default = "once")]
    pub times: u32,
    /// Largest difference from the oracle, relative to the largest value of the row, at least 1.
    #[serde(default = "tolerance")]
    pub tolerance: f64,
}

/// How the tokens of a batch lie in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Padding follows the tokens of a row.
    #[default]
    PaddingRight,
    /// Padding comes before them.
    PaddingLeft,
    /// The mask of each row has holes. What is masked holds the padding id.
    Holes,
    /// The same, and what is masked holds other ids.
    HolesOverTokens,
    /// The padding id also stands inside of sentences, as a token.
    PaddingIdInside,
    /// The first row is as long as the model's longest input, padding follows the others.
    FullLength,
    /// Padding follows the tokens, and no token types are given.
    WithoutTypes,
}

fn some_rows() -> usize {
    3
}

fn once() -> u32 {
    1
}

fn tolerance() -> f64 {
    1e-5
}

/// Gives a model an input that it must refuse.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectInput {
    /// Which model.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// What is wrong with the input.
    pub input: Wrong,
    /// How it must be refused.
    pub refused: Refusal,
}

/// What is wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// An id equal to the vocabulary's size.
    IdBeyond,
    /// An id below zero.
    IdNegative,
    /// One token more than the model takes.
    TooLong,
    /// No token at all: shape `[1, 0]`.
    Empty,
    /// A row whose mask is all zeros.
    NoToken,
    /// A mask with a 2 in it.
    MaskValue,
    /// A mask of another shape.
    MaskShape,
    /// Ids as F32.
    IdType,
    /// No ids.
    NoIds,
    /// A segment id equal to the number of segments.
    TypeBeyond,
    /// A vector one value longer than the model takes.
    VectorLength,
    /// A vector with a NaN.
    VectorNan,
    /// No text.
    NoText,
    /// A file that is not there.
    NoFile,
}

/// Changes a model so that mathematics alone says what becomes of the output.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relate {
    /// Which model, loaded before.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// How it is changed.
    pub by: Relation,
}

/// A relation between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The last norm is doubled: so is the output.
    DoubledNorm,
    /// Vocabulary and ids are permuted alike: nothing changes.
    PermutedVocabulary,
    /// Two heads change places, with everything that belongs to them: nothing changes.
    ExchangedHeads,
    /// Padding is added, with its mask: nothing changes.
    Padding,
    /// Sentences are run together and alone: nothing changes.
    Batching,
    /// One weight is moved: the output moves as the oracle's does.
    ChangedWeight,
    /// The same ids are run again with another mask: the output is that of the oracle.
    OtherMask,
    /// The tokens of the last row are run again in the reverse order: the output is that of the oracle.
    OtherLastRow,
    /// The same ids and mask are run again with other token types: the output is that of the oracle.
    OtherTypes,
}

/// Asks the loader to validate a model by itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validate {
    /// Which model, one of the registry.
    #[serde(default = "super::default_names::first_model")]
    pub model: String,
    /// The golden that it is given.
    #[serde(default)]
    pub golden: GoldenFlaw,
    /// How it must be refused; absent where it must be accepted.
    #[serde(default)]
    pub refused: Option<Refusal>,
    /// Longest time from the request to the answer, in milliseconds, by the harness's clock.
    #[serde(default)]
    pub within_ms: Option<u64>,
    /// Whether the loader's own time must agree with that.
    #[serde(default)]
    pub timed: bool,
}

/// What is wrong with a golden output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GoldenFlaw {
    /// Nothing.
    #[default]
    None,
    /// One value is moved by nine tenths of the tolerance: still right.
    MovedInside,
    /// One value is moved by three times the tolerance.
    MovedOutside,
    /// The count says one more than there is.
    CountTooLarge,
    /// The last value is cut off.
    Cut,
    /// Bytes follow the last value.
    Trailing,
    /// Count and values are big-endian.
    BigEndian,
    /// One value more than the model gives.
    Longer,
    /// One value fewer.
    Shorter,
    /// Nothing in the file.
    Empty,
    /// No file.
    Missing,
}

/// Embeds sentences with the run's checkpoint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Real {}

/// Loads all thirteen models, each checked against its pin and its golden, and holds them at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WholeSet {
    /// At which scale.
    pub scale: Scale,
    /// Longest time of all requests together, in seconds.
    #[serde(default)]
    pub within_s: Option<f64>,
    /// Longest time of a load on average, in seconds.
    #[serde(default)]
    pub mean_within_s: Option<f64>,
}
