//! Running a loaded model: its configuration, its tensors by their roles, and one forward pass over
//! the [operations](ops::Ops) of an engine, on the host or on a device.

mod arithmetic;
pub mod body;
pub mod chat;
pub mod config;
pub mod device;
pub mod forward;
pub mod generate;
pub mod host;
pub mod input;
pub mod names;
pub mod ops;
pub mod residence;
pub mod sample;
pub mod tokenizer;

use std::path::Path;

use super::error::{LoadError, Result};
use super::format::Carried;
use super::load::model::Held;
use super::memory::host_bytes;
use super::read::file::Source;
use crate::contract::inference::{Head, Inference, OutputKind, Pooling};
use crate::contract::{Code, Phase};

use self::body::{Body, Parts};
use self::chat::Template;
use self::config::Config;
use self::tokenizer::Tokens;

/// A model that can be run: everything but the weights themselves.
#[derive(Clone, Debug)]
pub struct RunnableModel {
    /// What `config.json` says.
    pub config: Config,
    /// What output is made of token states.
    pub head: Head,
    /// Where every weight lies.
    pub parts: Parts,
    /// The model's tokenizer, where one was named.
    pub tokenizer: Option<Tokens>,
    /// Its chat template, where one was named.
    pub template: Option<Template>,
    /// Tokens that end a sequence.
    pub ends: Vec<u32>,
}

impl RunnableModel {
    /// Reads configuration and tokenizer, and finds every tensor. Touches no weight and no device.
    /// What the weights' own file says counts where no file is named for it.
    ///
    /// # Errors
    /// `invalid_config`, `unknown_architecture`, `incomplete_model`, `shape_mismatch`,
    /// `invalid_tokenizer`, `invalid_template`; `invalid_request` for a configuration that is
    /// missing, or told twice.
    pub fn find(
        request: &Inference,
        carried: Option<&Carried>,
        tensors: &[Held],
    ) -> Result<RunnableModel> {
        let config = match (&request.config, carried) {
            (Some(path), None) => Config::read(path)?,
            (None, Some(carried)) => {
                Config::parse(carried.config.to_string().as_bytes()).map_err(in_file)?
            }
            (named, _) => return Err(one_config(named.is_some())),
        };
        let parts = Parts::find(&config, &request.head, tensors)?;
        let own = carried.and_then(|carried| carried.tokenizer.as_deref());
        let tokenizer = match (&request.tokenizer, own) {
            (None, None) => None,
            (None, Some(own)) => Some(Tokens::parse(own, &config).map_err(in_file)?),
            (Some(path), _) => Some(Tokens::read(path, &config).map_err(|error| error.path(path))?),
        };
        let own = carried.and_then(|carried| carried.template.as_ref());
        let template = match (&request.template, own) {
            (None, None) => None,
            (None, Some(own)) => Some(Template::of(own).map_err(in_file)?),
            (Some(path), _) => Some(Template::read(path).map_err(|error| error.path(path))?),
        };
        let ends = match &request.generation {
            None => None,
            Some(path) => config::ends(path, config.vocabulary)?,
        };
        let ends = ends.unwrap_or_else(|| config.ends.clone());
        let head = request.head.clone();
        Ok(RunnableModel { config, head, parts, tokenizer, template, ends })
    }

    /// Size of what it gives: of each vector, or of each token's.
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

/// What a weights' file says itself cannot be fetched apart from it.
fn in_file(error: LoadError) -> LoadError {
    error.remedy("convert the model again: its file says this itself")
}

fn one_config(named: bool) -> LoadError {
    let (message, actual) = match named {
        true => ("a configuration beside a file that has its own", "two"),
        false => ("no configuration named", "none"),
    };
    LoadError::refused(Phase::Request, Code::InvalidRequest, message)
        .expected("config.json beside safetensors, and none beside GGUF or APR", actual)
        .remedy("name config.json with safetensors alone")
}

/// Reads a file that stands beside the weights, of at most so many bytes, without waiting for a pipe.
///
/// # Errors
/// Those of opening and reading; `invalid_request` for one that is longer.
fn read_beside(path: &Path, longest: u64) -> Result<Vec<u8>> {
    let mut source = Source::open(path)?;
    if source.bytes() > longest {
        return Err(LoadError::refused(Phase::Open, Code::InvalidRequest, "too long")
            .expected(format!("at most {longest} bytes"), format!("{} bytes", source.bytes())));
    }
    let mut bytes = host_bytes(source.bytes())?;
    source.read(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
