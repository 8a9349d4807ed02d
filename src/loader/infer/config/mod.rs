//! Reads `config.json`: the sizes and settings of a model. Refuses values that are not supported or
//! that contradict each other. No field that changes the computation is ignored.

mod absent;
mod family;
mod fields;
mod generation;
mod keys;
mod rope;
mod rotary;
mod spelling;
mod text;
mod window;

use std::path::Path;

use crate::loader::error::{LoadError, Result, quote};
use crate::loader::format::architecture::KNOWN;
use crate::loader::remedies::config::{
    ARCHITECTURE_NOT_KNOWN, CONFIG_CONTRADICTS, CONFIG_MISSING, CONFIG_TOO_LONG,
};

use super::beside::read_beside;
use super::ops::Activation;
use super::settings::Settings;

use self::fields::{Fields, invalid};
use self::text::{LONGEST, strict};

pub use crate::loader::format::architecture::Architecture;

pub use self::absent::Absent;
pub use self::generation::{Generation, generation};
pub use self::rotary::{Llama3, Rotary, Scaling};

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
    /// Size of a head, in elements.
    pub head_size: usize,
    /// Width of the feed-forward block.
    pub inner: usize,
    /// Activation of the feed-forward block.
    pub activation: Activation,
    /// Longest input, in tokens.
    pub longest: usize,
    /// Rows of the position table; 0 without one.
    pub positions: usize,
    /// Rows of the segment table; 0 without one.
    pub types: usize,
    /// Added to the variance, or to the mean square, in norms.
    pub epsilon: f32,
    /// The padding token.
    pub padding: usize,
    /// Settings of RoPE, if the model uses it.
    pub rotary: Option<Rotary>,
    /// Sliding window: how many tokens a token attends to, including itself. `None` for no limit.
    pub window: Option<usize>,
    /// Whether the linear layers of the attention block have biases.
    pub attention_bias: bool,
    /// Whether the linear layers of the feed-forward block have biases.
    pub forward_bias: bool,
    /// Whether the head uses the word embeddings as its weight.
    pub tied: bool,
    /// Whether it does so because the configuration does not say.
    pub tied_by_default: bool,
    /// Sizes that the configuration does not state.
    pub absent: Absent,
    /// Tokens that end a sequence.
    pub ends: Vec<u32>,
    /// Settings that change which token is chosen, where no `generation_config.json` states them.
    pub settings: Settings,
    /// Fields that nothing reads and whose effect is not known.
    pub unread: Vec<String>,
}

impl Config {
    /// Whether attention is causal: a token attends only to itself and to earlier tokens.
    pub fn causal(&self) -> bool {
        self.architecture.is_decoder()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// `invalid_config` with the field at fault, `unknown_architecture`.
    pub fn read(path: &Path) -> Result<Config> {
        let bytes = read_beside(path, LONGEST, (CONFIG_MISSING, CONFIG_TOO_LONG));
        bytes.and_then(|bytes| Config::parse(&bytes)).map_err(|error| error.path(path))
    }

    /// Reads a configuration's text.
    ///
    /// # Errors
    /// As above.
    pub fn parse(bytes: &[u8]) -> Result<Config> {
        let value = strict(bytes)?;
        let fields = Fields::new(&value);
        let name = fields.text("model_type")?;
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        let Some((_, architecture)) = known else {
            let names: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
            return Err(LoadError::header(ARCHITECTURE_NOT_KNOWN, "architecture not supported")
                .expected(format!("model_type: one of {}", names.join(", ")), quote(name)));
        };
        let mut config = fields.config(*architecture)?;
        config.ends = fields.ends(config.vocabulary)?.unwrap_or_default();
        config.check()?;
        if architecture.is_decoder() {
            config.settings = fields.settings(config.vocabulary)?;
        }
        config.unread = keys::check(&fields)?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        if self.architecture == Architecture::Projection {
            return Ok(());
        }
        let divides = |part: usize, whole: usize| part > 0 && whole.is_multiple_of(part);
        if !divides(self.key_heads, self.heads) {
            return Err(invalid(
                CONFIG_CONTRADICTS,
                "num_key_value_heads does not divide num_attention_heads",
            )
            .expected(format!("a divisor of {}", self.heads), self.key_heads));
        }
        if self.rotary.is_some() && !self.head_size.is_multiple_of(2) {
            return Err(invalid(CONFIG_CONTRADICTS, "head_dim is odd, and positions are rotary")
                .expected("an even head_dim", self.head_size));
        }
        if self.longest == 0 {
            return Err(invalid(CONFIG_CONTRADICTS, "max_position_embeddings leaves no position")
                .expected("more rows than the padding takes", self.positions));
        }
        Ok(())
    }
}
