//! What a published configuration says of a model.

use serde_json::Value;

use super::activation;
use super::family::Family;
use super::fields::Fields;
use super::rotary::Rotary;
use super::{strange, window};
use crate::contract::DType;
use crate::contract::inference::Pooling;
use crate::harness::model::file;
use crate::harness::model::recipe::{Architecture, Decoder, HeadKind, Recipe, Sizes};

/// A published model.
#[derive(Clone, Debug)]
pub struct Described {
    /// Architecture, sizes and settings. Nothing in it is made up.
    pub recipe: Recipe,
    /// The activation of the feed-forward part.
    pub(super) activation: String,
    /// Rotary positions, in the architectures that have them.
    pub(super) rotary: Option<Rotary>,
    /// The sliding window of each layer; empty if no layer has one.
    pub(super) windows: Vec<Option<usize>>,
    /// The types of the layers, if the configuration has them.
    pub(super) layer_types: Option<Vec<String>>,
    /// Whether a token attends only to itself and earlier ones.
    pub(super) causal: bool,
    /// Whether attention and the feed-forward part have their optional biases.
    pub(super) biases: (bool, bool),
    /// Ids of the tokens that end a sequence, by `config.json`.
    pub(super) ends: Vec<u32>,
}

impl Described {
    /// The description of the weights alone. A decoder may compute in a way that the judge does not know.
    ///
    /// # Errors
    /// As those of [`Described::of`].
    pub fn of_weights(config: &Value) -> Result<Described, String> {
        match architecture(config)?.is_decoder() {
            true => Described::of(&strange::weights_alone(config)),
            false => Described::of(config),
        }
    }

    /// The description without what the tensors say: whether the head is the word embeddings, if
    /// `config.json` does not tell, and the element type.
    ///
    /// # Errors
    /// What the judge cannot describe, with the name of the field.
    pub fn of(config: &Value) -> Result<Described, String> {
        let fields = Fields::of(config)?;
        let architecture = architecture(config)?;
        strange::refuse(&fields, architecture)?;
        let family = Family::of(architecture, &fields);
        let size = |names: &[&str], absent: usize| -> Result<usize, String> {
            Ok(fields.size(names)?.unwrap_or(absent))
        };
        let hidden = size(&["hidden_size", "n_embd", "d_model"], family.hidden)?;
        let heads = size(&["num_attention_heads", "n_head", "n_heads"], family.heads)?;
        if heads == 0 || hidden == 0 {
            return Err(format!("{}: a model of no heads or no hidden size", file::CONFIG));
        }
        let key_heads = match fields.null("num_key_value_heads") {
            _ if !architecture.groups_queries() => heads,
            true => heads,
            false => size(&["num_key_value_heads"], family.key_heads.unwrap_or(heads))?,
        };
        let head_size = match architecture {
            Architecture::Gpt2 | Architecture::Bert | Architecture::Roberta => hidden / heads,
            _ => size(&["head_dim"], family.head_size.unwrap_or(hidden / heads))?,
        };
        let vocabulary = size(&["vocab_size"], family.vocabulary)?;
        let positions = size(&["max_position_embeddings", "n_positions"], family.positions)?;
        let layers = size(&["num_hidden_layers", "n_layer", "n_layers"], family.layers)?;
        let layer_types = fields.texts("layer_types")?;
        let rotary = match architecture {
            Architecture::Gpt2 | Architecture::Bert | Architecture::Roberta => None,
            _ => {
                Some(Rotary::read(&fields, family.rotary_base, positions, layer_types.as_deref())?)
            }
        };
        let causal = architecture.is_decoder() && fields.flag("is_causal")?.unwrap_or(true);
        let windows = match causal {
            true => window::read(&fields, architecture, layers, layer_types.as_deref())?,
            false => Vec::new(),
        };
        let epsilon = fields.number(&family.epsilon.0)?.unwrap_or(family.epsilon.1);
        let activation = fields.text(&["hidden_act", "activation_function"])?;
        let activation = activation.unwrap_or_else(|| family.activation.to_owned());
        let untied = !fields.flag("tie_word_embeddings")?.unwrap_or(family.tied);
        let of_bias = |name: &str| -> Result<bool, String> {
            Ok(family.has_biases(name) && fields.flag(name)?.unwrap_or(false))
        };
        let biases = (of_bias("attention_bias")?, of_bias("mlp_bias")?);
        let decoder = architecture.is_decoder();
        let sizes = Sizes {
            hidden,
            dimension: if decoder { vocabulary } else { hidden },
            vocabulary,
            layers,
            heads,
            key_heads,
            head_size,
            inner: size(&["intermediate_size", "n_inner"], family.inner.unwrap_or(4 * hidden))?,
            positions,
            types: match architecture.is_decoder() {
                true => 0,
                false => size(&["type_vocab_size"], 2)?,
            },
            padding: fields.token("pad_token_id", vocabulary)?.unwrap_or(family.padding),
            rotary_base: rotary.as_ref().map_or(0.0, Rotary::base),
            epsilon,
        };
        let pooled = HeadKind::Embedding(Pooling::Mean);
        let recipe = Recipe {
            architecture,
            dtype: DType::F32,
            sizes,
            output: if decoder { HeadKind::Logits } else { pooled },
            projection: None,
            normalize: !decoder,
            shards: 1,
            decoder: Decoder {
                untied: decoder && untied,
                biased: biases.0 || biases.1,
                window: windows.iter().flatten().copied().min(),
                scaling: rotary.as_ref().and_then(Rotary::scaling),
                wanders: false,
            },
            seed: String::new(),
        };
        activation::check(&activation)?;
        let ends = fields.tokens("eos_token_id")?;
        Ok(Described { recipe, activation, rotary, windows, layer_types, causal, biases, ends })
    }
}

/// The architecture that `config.json` names.
///
/// # Errors
/// If it names none, or one that the judge does not know.
pub fn architecture(config: &Value) -> Result<Architecture, String> {
    let name = config.get("model_type").and_then(Value::as_str);
    let name = name.ok_or_else(|| format!("{}: no model_type", file::CONFIG))?;
    let known = Architecture::ALL.into_iter().find(|one| one.model_type() == name);
    known
        .filter(|one| *one != Architecture::Projection)
        .ok_or_else(|| format!("{}: the judge does not know model_type {name:?}", file::CONFIG))
}
