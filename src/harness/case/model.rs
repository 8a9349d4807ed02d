//! Models of a case: what the harness makes, and what is wrong with it.

use serde::Deserialize;

use super::edits::TextEdits;
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
    /// Of a model that can be talked to, with such a template: whether the template writes a first token, and
    /// the tokenizer adds the same token to every text that it gets without a template.
    #[serde(default)]
    pub begins: bool,
    /// Of a model that can be talked to: the row of fixtures/templates whose template, special
    /// tokens and files it has. It is then a random decoder with the small chat model's tokenizer.
    #[serde(default)]
    pub golden: Option<String>,
    /// Of a random decoder: whether its head has a matrix of its own.
    #[serde(default)]
    pub untied: Option<bool>,
    /// Of a random model, or one of full size: its longest input, in tokens.
    #[serde(default)]
    pub context: Option<usize>,
    /// Of a random model: the factor of its last norm, and so of its states and logits.
    #[serde(default)]
    pub loud: Option<f32>,
    /// Of a random BERT, RoBERTa or GPT-2: how far its keys are moved, all in one direction. Every score of
    /// a query moves by the same amount, and the output stays.
    #[serde(default)]
    pub far_keys: Option<f32>,
    /// Of a random model: the factor of its tables of words, positions and token types, and so of the states
    /// before the first layer.
    #[serde(default)]
    pub words: Option<f32>,
    /// Of the small chat model: parts of tokenizer.json, by their paths with dots, and their values in JSON.
    #[serde(default)]
    pub tokens: Vec<(String, String)>,
    /// Of the small chat model: words of its vocabulary with ids from the first to below the second become added
    /// tokens that are not special.
    #[serde(default)]
    pub added: Option<(u64, u64)>,
    /// Of a model in another format: files of these names beside it, which hold the same model with other
    /// values.
    #[serde(default)]
    pub decoys: Vec<String>,
    /// Whether its weights lie in a folder of their own, beside documents of another model. Of a model in one
    /// file.
    #[serde(default)]
    pub apart: bool,
    /// Of a random decoder: its sizes are those that a configuration may leave out.
    #[serde(default)]
    pub usual: bool,
    /// Of a random Qwen2, Llama or Mistral: its heads have a size other than hidden size / heads.
    #[serde(default)]
    pub own_head: bool,
    /// Of a random decoder: it has nothing that only some of its family have. Heads share the hidden size
    /// evenly, positions are not scaled, there is no window and no bias that is off as a rule.
    #[serde(default)]
    pub plain: bool,
    /// Of a random Llama or Qwen3: whether its linear layers have the biases that are off as a rule.
    #[serde(default)]
    pub biased: Option<bool>,
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
    /// Of a random decoder: its query heads, its key heads, and the width of its feed-forward block.
    #[serde(default)]
    pub sides: Option<[usize; 3]>,
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
    /// This chat template stands in chat_template.jinja.
    Template(String),
    /// A part of tokenizer.json, by its path with dots, gets another value, in JSON.
    Tokenizer(String, String),
    /// tokenizer_config.json gets a member that nobody reads: so many empty objects in a list.
    Swollen(usize),
    /// tokenizer_config.json gets a member that nobody reads: lists in each other, this deep.
    Nested(usize),
    /// The text of a document beside the weights, by its name, is changed.
    Text(String, TextEdits),
    /// There is no config.json.
    NoConfig,
    /// config.json is cut in the middle.
    CutConfig,
    /// config.json gives a field two values: first this one, in JSON, and behind it the right one.
    ConfigTwice(String, String),
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
                | ModelDamage::Template(_)
                | ModelDamage::Tokenizer(..)
                | ModelDamage::Swollen(_)
                | ModelDamage::Nested(_)
        ) || matches!(self, ModelDamage::Text(name, _) if name.starts_with("tokenizer"))
    }
}
