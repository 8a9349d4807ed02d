//! Chooses how token states become one vector: as the command line says, else as `modules.json` of
//! the model says, which sentence-transformers writes, else the default of the architecture.

use std::path::Path;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::cli::{CommandError, gate, kind};
use crate::contract::inference::{Head, Pooling};
use crate::contract::{Class, Code, Failure, Phase};
use crate::loader::error::quote;
use crate::loader::infer::config::Architecture;
use crate::loader::open::checkpoint::Checkpoint;

/// The list of a model's parts, in order.
const MODULES: &str = "modules.json";

/// Options about the head.
#[derive(Debug, Args)]
pub struct HeadArgs {
    /// How token states become one vector. The default is the model's own: what its `modules.json`
    /// says, else the mean for an encoder.
    #[arg(long, value_enum, value_name = "POOLING")]
    pooling: Option<Named>,
    /// Apply this linear layer of the weight file after the pooling, by the prefix of its name.
    #[arg(long, value_name = "NAME")]
    projection: Option<String>,
    /// Divide each vector by its L2 norm. The default is the model's own, if `modules.json` is
    /// used.
    #[arg(long, conflicts_with = "no_normalize")]
    normalize: bool,
    /// Leave vectors as they are.
    #[arg(long)]
    no_normalize: bool,
}

/// Poolings that can be named.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Named {
    /// The mean of all tokens.
    Mean,
    /// The first token.
    Cls,
    /// The last token.
    LastToken,
    /// SPLADE: a vector of the vocabulary's size.
    Splade,
}

/// A head, and who chose it.
#[derive(Debug, Serialize)]
pub struct Chosen {
    /// The head.
    #[serde(serialize_with = "fields")]
    pub head: Head,
    /// Who chose the pooling.
    pub head_from: &'static str,
}

impl Chosen {
    /// In words.
    pub fn words(&self) -> String {
        let mut text = match self.head.pooling() {
            Some(Pooling::None) | None => "no pooling".to_owned(),
            Some(pooling) => format!("pooling {}", pooling_name(pooling)),
        };
        if let Some(name) = self.head.projection() {
            text += &format!(", projection {}", quote(name));
        }
        text += if self.head.normalizes() { ", normalized" } else { ", not normalized" };
        format!("{text} (from {})", self.head_from)
    }
}

fn fields<S: Serializer>(head: &Head, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::json!({
        "pooling": head.pooling().map(pooling_name),
        "projection": head.projection(),
        "normalize": head.normalizes(),
    })
    .serialize(serializer)
}

/// Chooses the head.
///
/// # Errors
/// A decoder for which nothing names a pooling; a `modules.json` that cannot be read or names a
/// part that is not served.
pub fn choose(
    arguments: &HeadArgs,
    checkpoint: &Checkpoint,
    model: &Path,
) -> Result<Chosen, CommandError> {
    let own = checkpoint.beside(MODULES).filter(|path| path.exists());
    let architecture = kind::architecture(checkpoint);
    let (pooling, normalize, head_from) = match (arguments.pooling, own) {
        (Some(named), _) => (named.pooling(), false, "the command line"),
        (None, Some(path)) => {
            let (pooling, normalize) = modules(&path, &checkpoint.folder)?;
            (pooling, normalize, MODULES)
        }
        (None, None) => match architecture {
            Some(Architecture::Projection) => (Pooling::None, false, "the architecture"),
            Some(decoder) if decoder.is_decoder() => {
                return Err(kind::must_be_encoder(decoder.name(), model));
            }
            None if !checkpoint.format.is_usual() => {
                return Err(kind::must_be_encoder("a GGUF or APR file", model));
            }
            _ => (Pooling::Mean, false, "the architecture"),
        },
    };
    // A projection model has only this layer, under its usual name.
    let usual = (architecture == Some(Architecture::Projection)).then(|| "projection".to_owned());
    let head = Head::Embedding {
        pooling,
        projection: arguments.projection.clone().or(usual),
        normalize: (normalize || arguments.normalize) && !arguments.no_normalize,
    };
    Ok(Chosen { head, head_from })
}

impl Named {
    fn pooling(self) -> Pooling {
        match self {
            Named::Mean => Pooling::Mean,
            Named::Cls => Pooling::Cls,
            Named::LastToken => Pooling::LastToken,
            Named::Splade => Pooling::Splade,
        }
    }
}

/// One part of a model.
#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Pooling and normalisation as `modules.json` lists them.
fn modules(path: &Path, folder: &Path) -> Result<(Pooling, bool), CommandError> {
    let modules: Vec<Module> = read(path, "a list of modules")?;
    let (mut pooling, mut normalize) = (None, false);
    for module in &modules {
        match module.kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" | "MLMTransformer" => {}
            "Pooling" => {
                pooling = Some(own_pooling(&folder.join(&module.path).join("config.json"))?)
            }
            "SpladePooling" => pooling = Some(Pooling::Splade),
            "Normalize" => normalize = true,
            other => return Err(not_served(path, "the module", other)),
        }
    }
    match pooling {
        Some(pooling) => Ok((pooling, normalize)),
        None => Err(not_served(path, "a list", "without a pooling")),
    }
}

/// The one mode that a pooling's `config.json` turns on.
fn own_pooling(path: &Path) -> Result<Pooling, CommandError> {
    let config: Value = read(path, "a pooling's configuration")?;
    let prefix = "pooling_mode_";
    let modes = config.as_object().into_iter().flatten();
    let on: Vec<&str> = modes
        .filter(|(_, value)| **value == Value::Bool(true))
        .filter_map(|(name, _)| name.strip_prefix(prefix))
        .collect();
    match on.as_slice() {
        ["mean_tokens"] => Ok(Pooling::Mean),
        ["cls_token"] => Ok(Pooling::Cls),
        ["lasttoken"] => Ok(Pooling::LastToken),
        [] => Err(not_served(path, "no", "pooling mode")),
        other => Err(not_served(path, "the pooling mode", &other.join(" and "))),
    }
}

fn read<T: for<'d> Deserialize<'d>>(path: &Path, what: &str) -> Result<T, CommandError> {
    let wrong = |found: String| {
        let code = Code::InvalidConfig;
        let message = format!("{} cannot be used", path.display());
        let failure = Failure::new(Class::Refused, Phase::Open, code, message)
            .expected(what, found)
            .remedy("download the file again, or name the pooling with --pooling")
            .path(path);
        gate::refusal(failure)
    };
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}

fn not_served(path: &Path, what: &str, name: &str) -> CommandError {
    let failure = kind::unsupported(format!("{} is not supported", path.display()))
        .expected(
            "one pooling (mean_tokens, cls_token or lasttoken), then Normalize or nothing",
            format!("{what} {name}"),
        )
        .remedy("name the head with --pooling, and --normalize if vectors are to have norm 1")
        .path(path);
    gate::refusal(failure)
}

/// The name of a pooling in the protocol.
fn pooling_name(pooling: Pooling) -> &'static str {
    match pooling {
        Pooling::None => "none",
        Pooling::Mean => "mean",
        Pooling::Cls => "cls",
        Pooling::LastToken => "last_token",
        Pooling::Splade => "splade",
    }
}
