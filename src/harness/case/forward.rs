//! Models of a case, and the steps that run them.

use serde::{Deserialize, Serialize};

use super::expect::Refusal;
use super::exported::Exported;
use crate::contract::DType;
use crate::contract::request::Format;
use crate::harness::model::foreign::{Break, Cut, GgufForm, Quantised};
use crate::harness::model::registry::Scale;
use crate::harness::model::spelling::Spelled;
use crate::harness::model::{Architecture, HeadKind};

/// A model that the harness makes before the first step. Its weight file, or its index, is a file of
/// the case by the same name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSource {
    /// One of the thirteen, by id.
    #[serde(default)]
    pub registry: Option<String>,
    /// Of one of those: at which scale; small unless told.
    #[serde(default)]
    pub scale: Option<Scale>,
    /// A model made for this run: sizes and weights from the run's seed.
    #[serde(default)]
    pub random: Option<Architecture>,
    /// Of a random model, or one of the same weights: what its head makes of the token states.
    #[serde(default)]
    pub output: Option<HeadKind>,
    /// Of a random model, or one of the same weights: whether it normalises.
    #[serde(default)]
    pub normalize: Option<bool>,
    /// Of a random model: its element type.
    #[serde(default)]
    pub dtype: Option<DType>,
    /// Of a random model, or one of full size: how many layers.
    #[serde(default)]
    pub layers: Option<usize>,
    /// Of one of full size, or a random decoder: how many tokens it knows.
    #[serde(default)]
    pub vocabulary: Option<usize>,
    /// Of a random model: whether it has a linear layer behind the pooling.
    #[serde(default)]
    pub projection: Option<bool>,
    /// How many files it is spread over; one unless told.
    #[serde(default)]
    pub shards: Option<usize>,
    /// Whether it comes with a tokenizer, made for this run.
    #[serde(default)]
    pub tokenizer: bool,
    /// The small chat model; the run's own checkpoint where that is a decoder.
    #[serde(default)]
    pub chat: bool,
    /// A decoder of Qwen2.5-1.5B's shape in BF16, weights made up; the run's own checkpoint where that is
    /// a decoder.
    #[serde(default)]
    pub full_size: bool,
    /// Whether it stays what it is in a run with a checkpoint: the case speaks of what only the small chat
    /// model knows.
    #[serde(default)]
    pub bundled: bool,
    /// Of a model that can be talked to: whether its chat template is one made for this run.
    #[serde(default)]
    pub made_template: bool,
    /// Of a model that can be talked to: the row of fixtures/templates whose template, special
    /// tokens and files it has. It is then a random decoder with the small chat model's tokenizer.
    #[serde(default)]
    pub golden: Option<String>,
    /// Of a random decoder: whether its head has a matrix of its own.
    #[serde(default)]
    pub untied: Option<bool>,
    /// Of a random decoder, or one of full size: its longest input, in tokens.
    #[serde(default)]
    pub context: Option<usize>,
    /// Of a random decoder: its sizes are those that a configuration may leave out.
    #[serde(default)]
    pub usual: bool,
    /// Of a random decoder: it has nothing that only some of its family have. Heads share the hidden size
    /// evenly, positions are not scaled, there is no window and no bias that is off as a rule.
    #[serde(default)]
    pub plain: bool,
    /// Of a random decoder: at which generated token it ends its sequence behind a prompt made for
    /// it, the first being 1.
    #[serde(default)]
    pub ends_at: Option<usize>,
    /// Of a random Llama: whether its positions are scaled; they are unless told.
    #[serde(default)]
    pub scaled: Option<bool>,
    /// Of a random decoder: its rows are whole blocks of quantised elements.
    #[serde(default)]
    pub blocks: bool,
    /// Of the small chat model: its tokenizer cuts text in another way, one that has a name.
    #[serde(default)]
    pub cuts: Option<Cut>,
    /// The same weights as another model of the case: in another format, or as they are, with another
    /// pooling, normalisation or configuration.
    #[serde(default)]
    pub same_as: Option<String>,
    /// Of such a model: in which format.
    #[serde(default)]
    pub format: Format,
    /// Of such a model: how its matrices are packed.
    #[serde(default)]
    pub quantised: Option<Quantised>,
    /// Of such a model in GGUF: how its file differs from the plain one.
    #[serde(default)]
    pub gguf: Option<GgufForm>,
    /// Of such a model: what is wrong with its file, in order.
    #[serde(default)]
    pub breaks: Vec<Break>,
    /// Of a random model: the number of its token types.
    #[serde(default)]
    pub types: Option<usize>,
    /// How its files look that another tool has written.
    #[serde(default)]
    pub exported: Option<Exported>,
    /// Of a random model: how its configuration is spelled.
    #[serde(default)]
    pub spelled: Option<Spelled>,
    /// What is wrong with it, in order.
    #[serde(default)]
    pub damage: Vec<ModelDamage>,
}

impl ModelSource {
    /// Whether what it gives are every token's logits.
    pub fn gives_logits(&self) -> bool {
        let random = self.random.is_some_and(|architecture| match self.output {
            Some(output) => output == HeadKind::Logits,
            // What a random decoder gives unless told; Qwen2 serves as an encoder too.
            None => architecture.is_decoder() && architecture != Architecture::Qwen2,
        });
        let imported = self.same_as.is_some() && !self.format.is_usual();
        self.chat || self.full_size || random || imported
    }
}

/// Damage to a model's files.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelDamage {
    /// A tensor is left out.
    Drop(String),
    /// So many tensors are left out, from the file's second on.
    DropSome(usize),
    /// A matrix has its sides exchanged in the header, the bytes left as they are.
    Transpose(String),
    /// A field of config.json gets another value, in JSON.
    Set(String, String),
    /// A field of config.json is left out.
    Unset(String),
    /// A field of config.json is left out of the file: the value is the one that its lack means.
    Leave(String),
    /// Every value of a tensor becomes zero.
    Zero(String),
    /// A head of its own is added to a tied model, other than its embeddings.
    StrayHead,
    /// A tensor of this name is added that no architecture has.
    Stray(String),
    /// The end tokens stand in generation_config.json, several, and not in config.json.
    EndsApart,
    /// The tokenizer has a token more than the model has rows.
    TokenizerBeyond,
    /// The tokenizer's file is cut in the middle.
    CutTokenizer,
    /// tokenizer_config.json is not there.
    NoTemplate,
    /// tokenizer_config.json has no chat template.
    EmptyTemplate,
    /// The chat template stands in chat_template.jinja alone, where transformers writes it now.
    TemplateApart,
    /// The same, and tokenizer_config.json has another one, which does not count.
    TemplateTwice,
    /// The same as it was, and beside it a chat_template.jinja that is no template.
    TemplateBroken,
    /// There is no config.json.
    NoConfig,
    /// config.json is cut in the middle.
    CutConfig,
    /// The tokenizer's file is not there.
    NoTokenizer,
    /// The index names a shard that is not there.
    NoShard,
    /// The index names a tensor that no shard holds.
    IndexNamesMore,
    /// The index places a tensor in another shard than the one that holds it.
    IndexMisplaces,
    /// A shard that the index does not name lies beside the others.
    StrayShard,
    /// A weight of the last layer becomes the largest number of its type, so that the output
    /// overflows.
    Overflow,
}

impl ModelDamage {
    /// Whether it is done to what turns text into tokens.
    pub fn is_of_text(&self) -> bool {
        matches!(
            self,
            ModelDamage::TokenizerBeyond
                | ModelDamage::CutTokenizer
                | ModelDamage::NoTokenizer
                | ModelDamage::NoTemplate
                | ModelDamage::EmptyTemplate
                | ModelDamage::TemplateApart
                | ModelDamage::TemplateTwice
                | ModelDamage::TemplateBroken
        )
    }
}

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
    /// Whether the input is texts.
    #[serde(default)]
    pub texts: bool,
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
