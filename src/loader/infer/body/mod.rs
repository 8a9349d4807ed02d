//! A model's resolved parts. One structure serves all families; their differences are data.

mod decoder;
mod layers;

use crate::contract::Phase;
use crate::contract::inference::{Head, OutputKind, Pooling};
use crate::loader::error::{LoadError, Result, wire_name};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::remedies::Cause;
use crate::loader::remedies::request::{
    ENCODER_MAKES_NO_TEXT, HEAD_POOLING, HEAD_PROJECTION_MISSING,
};

use super::config::{Architecture, Config};
use super::names::Finder;
use super::ops::{Linear, NormKind, Weight};

pub use self::layers::{Body, Layer, Vocabulary, columns};

/// A model's parts.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The body; absent for a projection.
    pub body: Option<Body>,
    /// The projection after pooling.
    pub projection: Option<Linear>,
    /// Names of the tensors that no part uses.
    pub unused: Vec<String>,
}

impl Parts {
    /// Adds names to those that no part uses.
    pub fn also_unused<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        self.unused.extend(names.map(str::to_owned));
        self.unused.sort_unstable();
    }

    /// Finds the tensors of every part.
    ///
    /// # Errors
    /// `incomplete_model`, `shape_mismatch`; `invalid_request` for a head that does not fit the
    /// model.
    pub fn find(config: &Config, head: &Head, tensors: &[PlacedTensor]) -> Result<Parts> {
        let takes_vectors = config.architecture == Architecture::Projection;
        if takes_vectors != (head.pooling() == Some(Pooling::None)) {
            let wanted = if takes_vectors { "pooling none" } else { "a pooling of tokens" };
            let cause = HEAD_POOLING.about([config.architecture.name()]);
            let actual = match head.pooling() {
                Some(pooling) => wire_name(&pooling),
                None => head.gives().name().to_owned(),
            };
            return Err(unsuitable(cause, "pooling").expected(wanted, actual));
        }
        let (prefix, anchor, name) = match config.architecture {
            Architecture::Bert => ("bert.", "embeddings.word_embeddings.weight", "bert"),
            Architecture::Roberta => ("roberta.", "embeddings.word_embeddings.weight", "roberta"),
            Architecture::Nomic => ("bert.", "embeddings.word_embeddings.weight", "nomic_bert"),
            Architecture::Gpt2 => ("transformer.", "wte.weight", "gpt2"),
            Architecture::Projection => ("", "", "projection"),
            _ => ("model.", "embed_tokens.weight", config.architecture.name()),
        };
        let mut finder = Finder::new(tensors, prefix, anchor).with_absent(&config.absent);
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
            let cause = HEAD_POOLING.about([name]);
            return Err(unsuitable(cause, "pooling").expected("a masked language model", name));
        }
        if head.gives() == OutputKind::Logits
            && body.as_ref().is_none_or(|body| body.language.is_none())
        {
            let message = "a model that makes embeddings makes no text";
            let cause = ENCODER_MAKES_NO_TEXT.about([name]);
            return Err(LoadError::refused(Phase::Request, cause, message)
                .expected("a model that generates text (a decoder)", name));
        }
        finder.outside();
        let width = match head.pooling() {
            Some(Pooling::Splade) => config.vocabulary,
            _ => config.hidden,
        };
        let projection = match head.projection() {
            None if takes_vectors => {
                return Err(
                    unsuitable(HEAD_PROJECTION_MISSING, "projection").expected("a name", "none")
                );
            }
            None => None,
            Some(name) => {
                // Treat a layer without rows as one row, so that an empty tensor fails the shape
                // check.
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
    let heads: &[&str] = match (config.tied, config.architecture) {
        (false, _) => &[],
        (true, Architecture::Roberta) => &["lm_head.decoder.weight"],
        (true, _) => &["cls.predictions.decoder.weight"],
    };
    let words = finder.words("embeddings.word_embeddings.weight", heads, (vocabulary, hidden));
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

/// Finds the masked language model's head, whose tensors are outside the body.
fn masked(config: &Config, words: Weight, finder: &mut Finder<'_>) -> Vocabulary {
    let (hidden, vocabulary) = (config.hidden, config.vocabulary);
    finder.outside();
    let decoder = match config.tied {
        true => {
            // Some writers keep the bias under the name of the layer alone.
            let names = ["cls.predictions.bias", "cls.predictions.decoder.bias"];
            let name = names.into_iter().find(|name| finder.has(name)).unwrap_or(names[0]);
            let bias = Some(finder.vector(name, vocabulary));
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

fn unsuitable(cause: impl Into<Cause>, what: &str) -> LoadError {
    let message = format!("the output does not suit the model: {what}");
    LoadError::refused(Phase::Request, cause, message)
}
