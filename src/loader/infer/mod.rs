//! Runs a loaded model: its configuration, its tensors by role, and one forward pass over the
//! [operations](ops::Ops) of an engine, on the host or on a device.

mod arithmetic;
pub mod beside;
pub mod body;
pub mod chat;
pub mod compute;
pub mod config;
pub mod device;
pub mod forward;
pub mod generate;
pub mod host;
pub mod input;
pub mod names;
pub mod ops;
pub mod residence;
pub mod rope_factors;
pub mod sample;
pub mod settings;
pub mod tied;
pub mod tokenizer;
pub mod turn_table;

use super::error::{LoadError, Result};
use super::format::EmbeddedDocuments;
use super::format::tensor::PlacedTensor;
use crate::contract::Phase;
use crate::contract::inference::{Compute, Head, Inference, OutputKind, Pooling};

use self::body::{Body, Parts};
use self::chat::Template;
use self::config::{Config, Generation};
use self::rope_factors::RopeFactors;
use self::settings::Settings;
use self::tokenizer::Tokens;
use self::turn_table::TurnTable;
use crate::loader::remedies::request::{CONFIG_NOT_NAMED, CONFIG_TWICE};

/// Everything that is needed to run a model, except the weights.
#[derive(Clone, Debug)]
pub struct RunnableModel {
    /// The configuration.
    pub config: Config,
    /// The output that is computed from token states.
    pub head: Head,
    /// How exactly it computes.
    pub compute: Compute,
    /// The position of every weight.
    pub parts: Parts,
    /// The tokenizer, if one was given.
    pub tokenizer: Option<Tokens>,
    /// The chat template, if one was given.
    pub template: Option<Template>,
    /// Tokens that end a sequence.
    pub ends: Vec<u32>,
    /// The publisher's settings that change which token is chosen.
    pub settings: Settings,
    /// Divisors of the rotary frequencies, if the file has a tensor of them.
    pub rope_factors: Option<RopeFactors>,
    /// Rotary turns that were computed before.
    pub turns: TurnTable,
}

/// The sources of a model's parts: the request, the documents embedded in the weights' file, and
/// the tensors of all files.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// Files and head of the request.
    pub inference: &'a Inference,
    /// Documents embedded in the weights' file, if its format has them.
    pub documents: Option<&'a EmbeddedDocuments>,
    /// All tensors, with their positions in memory.
    pub tensors: &'a [PlacedTensor],
}

impl Search<'_> {
    /// Reads configuration and tokenizer, and finds every tensor. Reads no weight and uses no
    /// device. A tokenizer or template that the request names replaces the embedded one.
    ///
    /// # Errors
    /// `invalid_config`, `unknown_architecture`, `incomplete_model`, `shape_mismatch`,
    /// `invalid_tokenizer`, `invalid_template`; `invalid_request` if no configuration is named, or
    /// if one is named for a file that contains its own.
    pub fn find(&self) -> Result<RunnableModel> {
        let Search { inference: request, documents, tensors } = *self;
        let mut config = match (&request.config, documents) {
            (Some(path), None) => Config::read(path)?,
            (None, Some(documents)) => Config::parse(documents.config.to_string().as_bytes())?,
            (named, _) => return Err(one_config(named.is_some())),
        };
        let mut parts = Parts::find(&config, &request.head, tensors)?;
        let factors = documents.and_then(|documents| documents.rope_factors.as_deref());
        let rope_factors = factors.map(|name| RopeFactors::find(name, &config, tensors));
        let rope_factors = rope_factors.transpose()?;
        parts.unused.retain(|name| Some(name.as_str()) != factors);
        let own = documents.and_then(|documents| documents.tokenizer.as_deref());
        let tokenizer = match (&request.tokenizer, own) {
            (None, None) => None,
            (None, Some(own)) => Some(Tokens::parse(own, &config)?),
            (Some(path), _) => Some(Tokens::read(path, &config).map_err(|error| error.path(path))?),
        };
        let own = documents.and_then(|documents| documents.template.as_ref());
        let template = match (&request.template, own) {
            (None, None) => None,
            (None, Some(own)) => Some(Template::of(own)?),
            (Some(path), _) => Some(Template::read(path).map_err(|error| error.path(path))?),
        };
        let generation = match &request.generation {
            None => Generation { settings: config.settings.clone(), ..Generation::default() },
            Some(path) => config::generation(path, config.vocabulary)?,
        };
        let ends = generation.ends.unwrap_or_else(|| config.ends.clone());
        let settings = generation.settings;
        let unread = generation.unread.iter();
        config.unread.extend(unread.map(|field| format!("generation_config.json: {field}")));
        let (head, compute) = (request.head.clone(), request.compute);
        Ok(RunnableModel {
            config,
            head,
            compute,
            parts,
            tokenizer,
            template,
            ends,
            settings,
            rope_factors,
            turns: TurnTable::default(),
        })
    }
}

impl RunnableModel {
    /// Size of the output for each vector or token, in elements.
    pub fn dimension(&self) -> usize {
        let vocabulary =
            self.head.gives() == OutputKind::Logits || self.head.pooling() == Some(Pooling::Splade);
        match &self.parts.projection {
            Some(projection) => projection.weight.rows,
            None if vocabulary => self.config.vocabulary,
            None => self.config.hidden,
        }
    }

    /// The body.
    ///
    /// # Errors
    /// `internal` for a projection, which takes no tokens.
    pub fn body(&self) -> Result<&Body> {
        self.parts.body.as_ref().ok_or_else(|| LoadError::internal("a projection takes no tokens"))
    }
}

fn one_config(named: bool) -> LoadError {
    let (cause, message, actual) = match named {
        true => (CONFIG_TWICE, "a configuration is named, and the file has its own", "two"),
        false => (CONFIG_NOT_NAMED, "no configuration named", "none"),
    };
    LoadError::refused(Phase::Request, cause, message)
        .expected("config.json for safetensors, and none for GGUF or APR", actual)
}

#[cfg(test)]
pub(crate) mod tests;
