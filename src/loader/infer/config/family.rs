//! Reads the configuration of each model family: the names of its fields and their defaults.

use serde_json::Value;

use crate::loader::error::{Result, quote};
use crate::loader::remedies::config::{CONFIG_CONTRADICTS, CONFIG_HEAD_DIM, CONFIG_NOT_SUPPORTED};

use super::fields::{Fields, invalid};
use super::{Activation, Architecture, Config};

impl Fields<'_> {
    /// Reads the configuration of a model of this architecture.
    pub(super) fn config(&self, architecture: Architecture) -> Result<Config> {
        match architecture {
            Architecture::Projection => self.projection(),
            Architecture::Gpt2 => self.gpt2(),
            _ if architecture.is_decoder() => self.decoder(architecture),
            _ => self.encoder(architecture),
        }
    }

    fn projection(&self) -> Result<Config> {
        let blank = blank(Architecture::Projection);
        let output = Some(self.size("output_size")?);
        Ok(Config { hidden: self.size("input_size")?, output, ..blank })
    }

    /// BERT, RoBERTa and NomicBERT.
    fn encoder(&self, architecture: Architecture) -> Result<Config> {
        use Architecture::{Nomic, Roberta};
        let (hidden, heads) = (self.size("hidden_size")?, self.size("num_attention_heads")?);
        let head_size = self.head_size(hidden, heads)?;
        if head_size * heads != hidden {
            return Err(invalid(
                CONFIG_HEAD_DIM,
                "head_dim is not hidden_size over num_attention_heads",
            )
            .expected(hidden as f64 / heads as f64, head_size));
        }
        let rotary = architecture == Nomic;
        let positions = self.size("max_position_embeddings")?;
        let padding = self.whole("pad_token_id")?.unwrap_or(usize::from(architecture == Roberta));
        let taken = if architecture == Roberta { padding + 1 } else { 0 };
        self.refuse_unless("position_embedding_type", &Value::from("absolute"))?;
        self.refuse_unless("is_decoder", &Value::from(false))?;
        self.refuse_unless("is_causal", &Value::from(false))?;
        Ok(Config {
            vocabulary: self.size("vocab_size")?,
            hidden,
            layers: self.size("num_hidden_layers")?,
            heads,
            key_heads: heads,
            head_size,
            inner: self.size("intermediate_size")?,
            activation: self.activation("hidden_act", if rotary { "silu" } else { "gelu" })?,
            longest: positions.saturating_sub(taken),
            positions: if rotary { 0 } else { positions },
            types: self.size("type_vocab_size")?,
            epsilon: self.number("layer_norm_eps")?.unwrap_or(1e-12),
            padding,
            rotary: if rotary { Some(self.rotary()?) } else { None },
            tied: self.flag("tie_word_embeddings", true)?,
            ..blank(architecture)
        })
    }

    /// Llama, Mistral, Qwen2, Qwen3 and Phi-3. Defaults are those of transformers for each family.
    fn decoder(&self, architecture: Architecture) -> Result<Config> {
        use Architecture::{Llama, Mistral, Phi3, Qwen2, Qwen3};
        let (hidden, heads) = (self.size("hidden_size")?, self.size("num_attention_heads")?);
        let head_size = match architecture {
            Qwen3 => self.maybe_size("head_dim")?.unwrap_or(128),
            _ => self.head_size(hidden, heads)?,
        };
        if architecture == Phi3 && head_size * heads != hidden {
            return Err(invalid(
                CONFIG_HEAD_DIM,
                "head_dim is not hidden_size over num_attention_heads",
            )
            .expected(hidden as f64 / heads as f64, head_size));
        }
        self.refuse_unless("use_sliding_window", &Value::from(false))?;
        self.refuse_unless("is_causal", &Value::from(true))?;
        let (attention_bias, forward_bias) = match architecture {
            Llama => (self.flag("attention_bias", false)?, self.flag("mlp_bias", false)?),
            Qwen3 => (self.flag("attention_bias", false)?, false),
            _ => (architecture == Qwen2, false),
        };
        Ok(Config {
            vocabulary: self.size("vocab_size")?,
            hidden,
            layers: self.size("num_hidden_layers")?,
            heads,
            key_heads: self.maybe_size("num_key_value_heads")?.unwrap_or(heads),
            head_size,
            // Documented default: four times the hidden size.
            inner: self.maybe_size("intermediate_size")?.unwrap_or(4 * hidden),
            activation: self.activation("hidden_act", "silu")?,
            longest: self.size("max_position_embeddings")?,
            epsilon: self.number("rms_norm_eps")?.unwrap_or(match architecture {
                Phi3 => 1e-5,
                _ => 1e-6,
            }),
            padding: self.whole("pad_token_id")?.unwrap_or(0),
            rotary: Some(self.rotary()?),
            window: match architecture {
                Mistral if self.0.get("sliding_window").is_none() => Some(4096),
                Mistral | Phi3 => self.maybe_size("sliding_window")?,
                _ => None,
            },
            attention_bias,
            forward_bias,
            // A Qwen2 that serves as an encoder has no head, so the flag has no effect there.
            tied: self.flag("tie_word_embeddings", false)?,
            ..blank(architecture)
        })
    }

    fn gpt2(&self) -> Result<Config> {
        let (hidden, heads) = (self.size("n_embd")?, self.size("n_head")?);
        if !hidden.is_multiple_of(heads) {
            return Err(invalid(CONFIG_CONTRADICTS, "n_head does not divide n_embd")
                .expected(format!("a divisor of {hidden}"), heads));
        }
        self.refuse_unless("scale_attn_weights", &Value::from(true))?;
        self.refuse_unless("scale_attn_by_inverse_layer_idx", &Value::from(false))?;
        self.refuse_unless("add_cross_attention", &Value::from(false))?;
        let positions = self.size("n_positions")?;
        Ok(Config {
            vocabulary: self.size("vocab_size")?,
            hidden,
            layers: self.size("n_layer")?,
            heads,
            key_heads: heads,
            head_size: hidden / heads,
            inner: self.maybe_size("n_inner")?.unwrap_or(4 * hidden),
            activation: self.activation("activation_function", "gelu_new")?,
            longest: positions,
            positions,
            epsilon: self.number("layer_norm_epsilon")?.unwrap_or(1e-5),
            padding: self.whole("pad_token_id")?.unwrap_or(0),
            attention_bias: true,
            forward_bias: true,
            tied: self.flag("tie_word_embeddings", true)?,
            ..blank(Architecture::Gpt2)
        })
    }

    fn head_size(&self, hidden: usize, heads: usize) -> Result<usize> {
        match self.maybe_size("head_dim")? {
            Some(size) => Ok(size),
            None if hidden.is_multiple_of(heads) => Ok(hidden / heads),
            None => {
                Err(invalid(CONFIG_CONTRADICTS, "num_attention_heads does not divide hidden_size")
                    .expected(format!("a divisor of {hidden}"), heads))
            }
        }
    }

    fn activation(&self, field: &str, default: &str) -> Result<Activation> {
        let name = match self.get(field) {
            None => default,
            Some(_) => self.text(field)?,
        };
        Ok(match name {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "silu" | "swish" => Activation::Silu,
            "relu" => Activation::Relu,
            other => {
                let setting = format!("{field} = {}", quote(other));
                let cause = CONFIG_NOT_SUPPORTED.about([&setting]);
                return Err(invalid(cause, format!("{setting} is not supported")).expected(
                    "gelu, gelu_new, gelu_pytorch_tanh, silu, swish or relu",
                    quote(other),
                ));
            }
        })
    }
}

fn blank(architecture: Architecture) -> Config {
    Config {
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
        rotary: None,
        window: None,
        attention_bias: false,
        forward_bias: false,
        tied: true,
        ends: Vec::new(),
    }
}
