//! `config.json`: what it says of a model, read whole and held to it. A value that is unknown or
//! contradicts another one is refused, never passed over.

use std::path::Path;

use serde_json::Value;

use crate::contract::Code;
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::header::json;

use super::ops::Activation;
use super::read_beside;

/// Longest configuration, in bytes.
const LONGEST: u64 = 1 << 20;

/// The architectures that are known, by `model_type`.
pub const KNOWN: [(&str, Architecture); 5] = [
    ("bert", Architecture::Bert),
    ("roberta", Architecture::Roberta),
    ("nomic_bert", Architecture::Nomic),
    ("qwen2", Architecture::Qwen2),
    ("projection", Architecture::Projection),
];

/// How a model is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Learned positions, norms behind each part.
    Bert,
    /// The same, positions counted from behind the padding id.
    Roberta,
    /// Fused projections, gated feed-forward part, rotary positions.
    Nomic,
    /// Norms before each part, grouped-query attention, causal.
    Qwen2,
    /// One linear layer over a vector.
    Projection,
}

/// What a configuration says. Sizes are in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The architecture.
    pub architecture: Architecture,
    /// Rows of the word embeddings; 0 for a projection.
    pub vocabulary: usize,
    /// Width of a token's state; of the input for a projection.
    pub hidden: usize,
    /// Width of a projection's output.
    pub output: Option<usize>,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub key_heads: usize,
    /// Size of a head.
    pub head_size: usize,
    /// Width of the feed-forward part.
    pub inner: usize,
    /// Its activation.
    pub activation: Activation,
    /// Longest input, in tokens.
    pub longest: usize,
    /// Rows of the position table, where there is one.
    pub positions: usize,
    /// Rows of the segment table, where there is one.
    pub types: usize,
    /// Added to variances.
    pub epsilon: f32,
    /// The padding token.
    pub padding: usize,
    /// Rotary base, where positions are rotary.
    pub rotary_base: Option<f32>,
    /// Whether the masked language model's head is the word embeddings.
    pub tied: bool,
}

impl Config {
    /// Whether a token sees only those up to itself.
    pub fn causal(&self) -> bool {
        self.architecture == Architecture::Qwen2
    }

    /// Reads a file.
    ///
    /// # Errors
    /// `invalid_config` with the field at fault, `unknown_architecture`.
    pub fn read(path: &Path) -> Result<Config> {
        // Whatever the reason, the model has no configuration.
        let bytes = read_beside(path, LONGEST).map_err(|error| {
            let reason = &error.failure().message;
            invalid(format!("config.json cannot be read: {reason}"))
                .expected("config.json, as it was published with the weights", reason)
        });
        bytes.and_then(|bytes| Config::parse(&bytes)).map_err(|error| error.path(path))
    }

    /// Reads a configuration's text.
    ///
    /// # Errors
    /// As above.
    pub fn parse(bytes: &[u8]) -> Result<Config> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| invalid("not UTF-8").expected("UTF-8", error))?;
        json::check(text).map_err(|error| {
            invalid("not strict JSON").expected("one JSON object", format!("{error:?}"))
        })?;
        let value: Value = serde_json::from_str(text)
            .map_err(|error| invalid("not JSON").expected("one JSON object", error))?;
        let fields = Fields(&value);
        let name = fields.text("model_type")?;
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        let Some((_, architecture)) = known else {
            let names: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
            return Err(LoadError::header(Code::UnknownArchitecture, "architecture not known")
                .expected(format!("model_type: one of {}", names.join(", ")), quote(name))
                .remedy("use a model of one of these architectures"));
        };
        let config = fields.config(*architecture)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        if self.architecture == Architecture::Projection {
            return Ok(());
        }
        let divides = |part: usize, whole: usize| part > 0 && whole.is_multiple_of(part);
        if !divides(self.key_heads, self.heads) {
            return Err(invalid("num_key_value_heads does not divide num_attention_heads")
                .expected(format!("a divisor of {}", self.heads), self.key_heads));
        }
        if self.rotary_base.is_some() && !self.head_size.is_multiple_of(2) {
            return Err(invalid("head_dim is odd, and positions are rotary")
                .expected("an even head_dim", self.head_size));
        }
        if self.longest == 0 {
            return Err(invalid("max_position_embeddings leaves no position")
                .expected("more rows than the padding takes", self.positions));
        }
        Ok(())
    }
}

struct Fields<'v>(&'v Value);

impl<'v> Fields<'v> {
    fn config(&self, architecture: Architecture) -> Result<Config> {
        use Architecture::{Nomic, Projection, Qwen2, Roberta};
        let blank = Config {
            architecture,
            vocabulary: 0,
            hidden: 0,
            output: None,
            layers: 0,
            heads: 1,
            key_heads: 1,
            head_size: 0,
            inner: 0,
            activation: Activation::Gelu,
            longest: usize::MAX,
            positions: 0,
            types: 0,
            epsilon: 1e-12,
            padding: 0,
            rotary_base: None,
            tied: true,
        };
        if architecture == Projection {
            let output = Some(self.size("output_size")?);
            return Ok(Config { hidden: self.size("input_size")?, output, ..blank });
        }
        let (hidden, heads) = (self.size("hidden_size")?, self.size("num_attention_heads")?);
        let head_size = match self.maybe_size("head_dim")? {
            Some(size) if architecture == Qwen2 || size * heads == hidden => size,
            Some(size) => {
                return Err(invalid("head_dim is not hidden_size over num_attention_heads")
                    .expected(hidden as f64 / heads as f64, size));
            }
            None if hidden.is_multiple_of(heads) => hidden / heads,
            None => {
                return Err(invalid("num_attention_heads does not divide hidden_size")
                    .expected(format!("a divisor of {hidden}"), heads));
            }
        };
        let rotary = matches!(architecture, Nomic | Qwen2);
        let (epsilon, default) = match architecture {
            Qwen2 => ("rms_norm_eps", 1e-6),
            _ => ("layer_norm_eps", 1e-12),
        };
        let positions = self.size("max_position_embeddings")?;
        let padding = self.whole("pad_token_id")?.unwrap_or(usize::from(architecture == Roberta));
        let taken = if architecture == Roberta { padding + 1 } else { 0 };
        self.refuse_unless("position_embedding_type", &Value::from("absolute"))?;
        self.refuse_unless("use_sliding_window", &Value::from(false))?;
        self.refuse_unless("is_decoder", &Value::from(false))?;
        self.refuse_unless("is_causal", &Value::from(architecture == Qwen2))?;
        Ok(Config {
            vocabulary: self.size("vocab_size")?,
            hidden,
            layers: self.size("num_hidden_layers")?,
            heads,
            key_heads: match architecture {
                Qwen2 => self.maybe_size("num_key_value_heads")?.unwrap_or(heads),
                _ => heads,
            },
            head_size,
            inner: match architecture {
                // Documented for decoders: four times the hidden size where the field is missing.
                Qwen2 => self.maybe_size("intermediate_size")?.unwrap_or(4 * hidden),
                _ => self.size("intermediate_size")?,
            },
            activation: self.activation(if rotary { "silu" } else { "gelu" })?,
            longest: positions.saturating_sub(taken),
            positions: if rotary { 0 } else { positions },
            types: if architecture == Qwen2 { 0 } else { self.size("type_vocab_size")? },
            epsilon: self.number(epsilon)?.unwrap_or(default),
            padding,
            rotary_base: if rotary { Some(self.rotary_base()?) } else { None },
            tied: self.0.get("tie_word_embeddings").is_none_or(|tied| *tied != Value::Bool(false)),
            ..blank
        })
    }

    fn rotary_base(&self) -> Result<f32> {
        let old = self.0.get("rope_scaling").filter(|value| !value.is_null());
        let new = self.0.get("rope_parameters").filter(|value| !value.is_null());
        for (field, parameters) in [("rope_scaling", old), ("rope_parameters", new)] {
            let Some(parameters) = parameters else { continue };
            if !parameters.is_object() {
                return Err(invalid(format!("{field} is no object"))
                    .expected("an object", quote(&parameters.to_string())));
            }
            Fields(parameters).refuse_unless("partial_rotary_factor", &Value::from(1.0))?;
            let kind = parameters.get("rope_type").or(parameters.get("type"));
            if kind.is_some_and(|kind| kind != "default") {
                return Err(invalid("rope_type not known")
                    .expected("default", quote(&kind.unwrap_or(&Value::Null).to_string())));
            }
        }
        let within = new.map_or(Ok(None), |new| Fields(new).number("rope_theta"))?;
        let base = match within {
            Some(base) => base,
            None => self.number("rope_theta")?.unwrap_or(10_000.0),
        };
        if base <= 1.0 {
            return Err(invalid("rope_theta is no base").expected("more than 1", base));
        }
        Ok(base)
    }

    fn activation(&self, default: &str) -> Result<Activation> {
        let name = match self.0.get("hidden_act") {
            None | Some(Value::Null) => default,
            Some(_) => self.text("hidden_act")?,
        };
        Ok(match name {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "silu" | "swish" => Activation::Silu,
            "relu" => Activation::Relu,
            other => {
                return Err(invalid("hidden_act not known").expected(
                    "gelu, gelu_new, gelu_pytorch_tanh, silu, swish or relu",
                    quote(other),
                ));
            }
        })
    }

    fn text(&self, field: &str) -> Result<&'v str> {
        let value = self.0.get(field).ok_or_else(|| missing(field))?;
        value.as_str().ok_or_else(|| {
            invalid(format!("{field} is no text")).expected("a text", quote(&value.to_string()))
        })
    }

    /// A whole number, zero as well.
    fn whole(&self, field: &str) -> Result<Option<usize>> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let size = value.as_u64().and_then(|size| u32::try_from(size).ok());
                let size = size.ok_or_else(|| {
                    invalid(format!("{field} is no size"))
                        .expected("a whole number below 2^32", quote(&value.to_string()))
                })?;
                Ok(Some(size as usize))
            }
        }
    }

    /// A size that is not zero where it is there.
    fn maybe_size(&self, field: &str) -> Result<Option<usize>> {
        match self.whole(field)? {
            Some(0) => Err(invalid(format!("{field} is zero")).expected("at least 1", 0)),
            size => Ok(size),
        }
    }

    /// A size that must be there and not zero.
    fn size(&self, field: &str) -> Result<usize> {
        self.maybe_size(field)?.ok_or_else(|| missing(field))
    }

    /// A number above zero, and within F32: what it is rounded to is computed with.
    fn number(&self, field: &str) -> Result<Option<f32>> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_f64().map(|number| number as f32);
                let number = number.filter(|number| *number > 0.0 && number.is_finite());
                number.map(Some).ok_or_else(|| {
                    invalid(format!("{field} is no number above zero, or too large for F32"))
                        .expected("a number above zero, as F32", quote(&value.to_string()))
                })
            }
        }
    }

    /// Refuses a field that is there with another value than the one that is honoured.
    fn refuse_unless(&self, field: &str, honoured: &Value) -> Result<()> {
        // 1 and 1.0 are the same number.
        let same = |value: &Value| {
            let number = value.as_f64();
            value == honoured || value.is_null() || number.is_some() && number == honoured.as_f64()
        };
        match self.0.get(field).filter(|value| !same(value)) {
            Some(value) => Err(invalid(format!("{field} is not honoured"))
                .expected(honoured, quote(&value.to_string()))),
            None => Ok(()),
        }
    }
}

fn missing(field: &str) -> LoadError {
    invalid(format!("{field} is missing")).expected(format!("a field {field}"), "none")
}

fn invalid(message: impl Into<String>) -> LoadError {
    LoadError::header(Code::InvalidConfig, message)
        .remedy("fetch config.json again, from the revision that the weights are of")
}
