//! A model's parts, resolved: one recipe for every family, whose differences are data.

mod decoder;

use crate::contract::inference::{Head, OutputKind, Pooling};
use crate::contract::{Code, Phase};
use crate::loader::error::{LoadError, Result};
use crate::loader::load::model::Held;

use super::config::{Architecture, Config};
use super::names::Finder;
use super::ops::{Linear, Norm, NormKind, Weight};

/// Everything between token ids and token states.
#[derive(Clone, Debug)]
pub struct Body {
    /// Word embeddings.
    pub words: Weight,
    /// Position embeddings, where positions are learned.
    pub positions: Option<Weight>,
    /// Segment embeddings.
    pub types: Option<Weight>,
    /// The norm over their sum.
    pub embedded: Option<Norm>,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// Where among the columns of query, key and value the keys and the values begin.
    pub columns: (usize, usize),
    /// Whether rotary positions turn neighbours, in place of elements half a head apart.
    pub neighbours: bool,
    /// Whether the feed-forward part has a gate.
    pub gated: bool,
    /// Whether a layer's norms stand before its parts, in place of behind them.
    pub norms_first: bool,
    /// The norm behind the last layer.
    pub last: Option<Norm>,
    /// The masked language model's head.
    pub vocabulary: Option<Vocabulary>,
    /// The language model's head.
    pub language: Option<Linear>,
}

/// One layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Query, key and value: three layers, or one that gives all three side by side.
    pub queries_keys_values: Vec<Linear>,
    /// Norms over each head of the queries, and of the keys.
    pub head_norms: Option<(Norm, Norm)>,
    /// What joins the heads.
    pub join: Linear,
    /// The norm of the attention part.
    pub attention_norm: Norm,
    /// Into the feed-forward part: one layer; or the gate and the other one, perhaps as one layer that
    /// gives both side by side.
    pub widen: Vec<Linear>,
    /// Out of it.
    pub narrow: Linear,
    /// The norm of the feed-forward part.
    pub forward_norm: Norm,
}

/// From token states to the vocabulary.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// A layer with the model's activation.
    pub transform: Linear,
    /// The norm behind it.
    pub norm: Norm,
    /// To the vocabulary.
    pub decoder: Linear,
}

/// A model's parts.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The body; absent for a projection.
    pub body: Option<Body>,
    /// The head's own layer.
    pub projection: Option<Linear>,
    /// Tensors that nothing of this is made of, by name.
    pub unused: Vec<String>,
}

impl Parts {
    /// Resolves every part among the tensors.
    ///
    /// # Errors
    /// `incomplete_model`, `shape_mismatch`; `invalid_request` for a head that does not suit.
    pub fn find(config: &Config, head: &Head, tensors: &[Held]) -> Result<Parts> {
        let takes_vectors = config.architecture == Architecture::Projection;
        if takes_vectors != (head.pooling() == Some(Pooling::None)) {
            let wanted = if takes_vectors { "pooling none" } else { "a pooling of tokens" };
            let actual =
                head.pooling().map_or(head.gives().name().to_owned(), |p| format!("{p:?}"));
            return Err(unsuitable("pooling").expected(wanted, actual));
        }
        let (prefix, anchor, name) = match config.architecture {
            Architecture::Bert => ("bert.", "embeddings.word_embeddings.weight", "bert"),
            Architecture::Roberta => ("roberta.", "embeddings.word_embeddings.weight", "roberta"),
            Architecture::Nomic => ("bert.", "embeddings.word_embeddings.weight", "nomic_bert"),
            Architecture::Gpt2 => ("transformer.", "wte.weight", "gpt2"),
            Architecture::Projection => ("", "", "projection"),
            _ => ("model.", "embed_tokens.weight", config.architecture.name()),
        };
        let mut finder = Finder::new(tensors, prefix, anchor);
        let body = match config.architecture {
            Architecture::Bert | Architecture::Roberta => Some(bert(config, head, &mut finder)),
            Architecture::Nomic => Some(nomic(config, &mut finder)),
            Architecture::Gpt2 => Some(decoder::gpt2(config, head, &mut finder)),
            Architecture::Projection => None,
            _ => Some(decoder::llama(config, head, &mut finder)),
        };
        if head.pooling() == Some(Pooling::Splade)
            && body.as_ref().is_none_or(|body| body.vocabulary.is_none())
        {
            return Err(unsuitable("pooling").expected("a masked language model", name));
        }
        if head.gives() == OutputKind::Logits
            && body.as_ref().is_none_or(|body| body.language.is_none())
        {
            return Err(unsuitable("logits").expected("a decoder", name));
        }
        finder.outside();
        let width = match head.pooling() {
            Some(Pooling::Splade) => config.vocabulary,
            _ => config.hidden,
        };
        let projection = match head.projection() {
            None if takes_vectors => {
                return Err(unsuitable("projection").expected("a name", "none"));
            }
            None => None,
            Some(name) => {
                // A layer without rows is none, whoever says how many there should be.
                let there = finder.rows(&format!("{name}.weight")).unwrap_or(0).max(1);
                let rows = config.output.unwrap_or(there);
                Some(finder.linear(name, rows, width))
            }
        };
        let unused = finder.end(name)?;
        Ok(Parts { body, projection, unused })
    }
}

fn bert(config: &Config, head: &Head, finder: &mut Finder<'_>) -> Body {
    let Config { hidden, inner, vocabulary, .. } = *config;
    let norm = |finder: &mut Finder<'_>, name: &str| {
        finder.norm(name, NormKind::Layer, hidden, config.epsilon)
    };
    let words = finder.matrix("embeddings.word_embeddings.weight", vocabulary, hidden);
    let positions =
        finder.matrix("embeddings.position_embeddings.weight", config.positions, hidden);
    let types = finder.matrix("embeddings.token_type_embeddings.weight", config.types, hidden);
    let embedded = norm(finder, "embeddings.LayerNorm");
    let count = finder.layers(config.layers);
    let layers = (0..count)
        .map(|n| {
            let at = |part: &str| format!("encoder.layer.{n}.{part}");
            let part = |finder: &mut Finder<'_>, name: &str| {
                finder.biased(&at(&format!("attention.self.{name}")), hidden, hidden)
            };
            Layer {
                queries_keys_values: ["query", "key", "value"].map(|p| part(finder, p)).into(),
                head_norms: None,
                join: finder.biased(&at("attention.output.dense"), hidden, hidden),
                attention_norm: norm(finder, &at("attention.output.LayerNorm")),
                widen: vec![finder.biased(&at("intermediate.dense"), inner, hidden)],
                narrow: finder.biased(&at("output.dense"), hidden, inner),
                forward_norm: norm(finder, &at("output.LayerNorm")),
            }
        })
        .collect();
    let vocabulary =
        (head.pooling() == Some(Pooling::Splade)).then(|| masked(config, words, finder));
    Body {
        words,
        positions: Some(positions),
        types: Some(types),
        embedded: Some(embedded),
        layers,
        columns: columns(config),
        neighbours: false,
        gated: false,
        norms_first: false,
        last: None,
        vocabulary,
        language: None,
    }
}

/// The masked language model's head, which stands beside the body.
fn masked(config: &Config, words: Weight, finder: &mut Finder<'_>) -> Vocabulary {
    let (hidden, vocabulary) = (config.hidden, config.vocabulary);
    finder.outside();
    let decoder = match config.tied {
        true => {
            let bias = Some(finder.vector("cls.predictions.bias", vocabulary));
            Linear { weight: words, bias, transposed: false }
        }
        false => finder.biased("cls.predictions.decoder", vocabulary, hidden),
    };
    Vocabulary {
        transform: finder.biased("cls.predictions.transform.dense", hidden, hidden),
        norm: finder.norm(
            "cls.predictions.transform.LayerNorm",
            NormKind::Layer,
            hidden,
            config.epsilon,
        ),
        decoder,
    }
}

fn nomic(config: &Config, finder: &mut Finder<'_>) -> Body {
    let Config { hidden, inner, .. } = *config;
    let norm = |finder: &mut Finder<'_>, name: &str| {
        finder.norm(name, NormKind::Layer, hidden, config.epsilon)
    };
    let count = finder.layers(config.layers);
    let layers = |finder: &mut Finder<'_>| {
        (0..count)
            .map(|n| {
                let at = |part: &str| format!("encoder.layers.{n}.{part}");
                Layer {
                    queries_keys_values: vec![finder.linear(&at("attn.Wqkv"), 3 * hidden, hidden)],
                    head_norms: None,
                    join: finder.linear(&at("attn.out_proj"), hidden, hidden),
                    attention_norm: norm(finder, &at("norm1")),
                    widen: vec![
                        finder.linear(&at("mlp.fc12"), inner, hidden),
                        finder.linear(&at("mlp.fc11"), inner, hidden),
                    ],
                    narrow: finder.linear(&at("mlp.fc2"), hidden, inner),
                    forward_norm: norm(finder, &at("norm2")),
                }
            })
            .collect()
    };
    Body {
        words: finder.matrix("embeddings.word_embeddings.weight", config.vocabulary, hidden),
        positions: None,
        types: Some(finder.matrix("embeddings.token_type_embeddings.weight", config.types, hidden)),
        embedded: Some(norm(finder, "emb_ln")),
        layers: layers(finder),
        columns: columns(config),
        neighbours: false,
        gated: true,
        norms_first: false,
        last: None,
        vocabulary: None,
        language: None,
    }
}

fn columns(config: &Config) -> (usize, usize) {
    let queries = config.heads * config.head_size;
    (queries, queries + config.key_heads * config.head_size)
}

fn unsuitable(what: &str) -> LoadError {
    LoadError::refused(
        Phase::Request,
        Code::InvalidRequest,
        format!("the head does not suit the model: {what}"),
    )
    .remedy("ask for a head that the architecture has")
}
