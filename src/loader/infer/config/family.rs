//! Reads the configuration of each model family: the names of its fields and their defaults.

use serde_json::Value;

use crate::loader::error::Result;
use crate::loader::remedies::config::{CONFIG_CONTRADICTS, CONFIG_HEAD_DIM};

use super::absent::{Absent, HEAD_DIM, INNER_OF_GPT2, KEY_HEADS as KEY_HEADS_KEY, WIDTH};
use super::fields::{Fields, invalid};
use super::spelling::{
    ACTIVATION, DECODER, ENCODER, EPSILON, GPT2, HEADS, HIDDEN, INNER, KEY_HEADS, LAYERS, NOMIC,
    Own, POSITIONS,
};
use super::window::Windows;
use super::{Activation, Architecture, Config, Settings};

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
        let rotary = architecture == Nomic;
        let own = if rotary { &NOMIC } else { &ENCODER };
        let (hidden, heads) = (self.fact(&HIDDEN, own.hidden)?, self.fact(&HEADS, own.heads)?);
        let head_size = self.head_size(own, hidden, heads)?;
        if head_size * heads != hidden {
            return Err(invalid(
                CONFIG_HEAD_DIM,
                "head_dim is not hidden_size over num_attention_heads",
            )
            .expected(hidden as f64 / heads as f64, head_size));
        }
        let key_heads = self.maybe_fact(&KEY_HEADS, &["num_key_value_heads"])?;
        if let Some(other) = key_heads.filter(|key_heads| *key_heads != heads) {
            return Err(invalid(
                CONFIG_CONTRADICTS,
                "num_key_value_heads is not the number of heads, and this model_type groups none",
            )
            .expected(heads, other));
        }
        let vocabulary = self.vocabulary()?;
        let positions = self.fact(&POSITIONS, own.positions)?;
        if architecture == Roberta {
            self.positions_follow_padding()?;
        }
        let padding = self.padding(usize::from(architecture == Roberta), vocabulary)?;
        let taken = if architecture == Roberta { padding + 1 } else { 0 };
        if rotary {
            self.refuse_unless("scale_attn_weights", &Value::from(true))?;
        }
        let learned = if rotary { "rotary" } else { "absolute" };
        self.refuse_unless("position_embedding_type", &Value::from(learned))?;
        for field in ["is_decoder", "is_causal", "causal", "add_cross_attention"] {
            self.refuse_unless(field, &Value::from(false))?;
        }
        Ok(Config {
            vocabulary,
            hidden,
            layers: self.fact(&LAYERS, own.layers)?,
            heads,
            key_heads: heads,
            head_size,
            inner: self.fact(&INNER, own.inner)?,
            activation: self.activation(own, architecture)?,
            longest: positions.saturating_sub(taken),
            positions: if rotary { 0 } else { positions },
            types: self.size("type_vocab_size")?,
            epsilon: self.epsilon(own, 1e-12)?,
            padding,
            rotary: if rotary { Some(self.rotary(own, self.nomic_base()?)?) } else { None },
            tied: self.flag("tie_word_embeddings", true)?,
            ..blank(architecture)
        })
    }

    /// RoBERTa counts positions from the row behind that of the padding token, so that none cannot
    /// stand for a token that is not there.
    fn positions_follow_padding(&self) -> Result<()> {
        let field = "pad_token_id";
        self.refuse_null(field)?;
        match self.get(field).filter(|value| value.as_i64() == Some(-1)) {
            Some(none) => Err(self.not_supported(field, none, "the id of the padding token")),
            None => Ok(()),
        }
    }

    /// NomicBERT's base where none is stated. The code that it was published with has another than
    /// transformers.
    fn nomic_base(&self) -> Result<f32> {
        let stated = ["rotary_emb_base", "rope_theta", "rope_scaling", "rope_parameters"];
        let published = ["n_embd", "n_head", "n_layer", "rotary_emb_fraction"];
        let any = |names: &[&str]| names.iter().any(|name| self.get(name).is_some());
        match any(&published) && !any(&stated) {
            true => Err(self.missing("rotary_emb_base")),
            false => Ok(1000.0),
        }
    }

    /// Rows of the word embeddings. NomicBERT pads them to a multiple.
    fn vocabulary(&self) -> Result<usize> {
        let vocabulary = self.size("vocab_size")?;
        let multiple = self.maybe_size("pad_vocab_size_multiple")?.unwrap_or(1);
        Ok(vocabulary.next_multiple_of(multiple))
    }

    /// Llama, Mistral, Qwen2, Qwen3 and Phi-3. Defaults are those of transformers for each family.
    fn decoder(&self, architecture: Architecture) -> Result<Config> {
        use Architecture::{Llama, Mistral, Phi3, Qwen2, Qwen3};
        let own = &DECODER;
        let mut absent = Absent::default();
        let (hidden, heads) = (self.fact(&HIDDEN, own.hidden)?, self.fact(&HEADS, own.heads)?);
        let head_size = match architecture {
            // Absent it is 128. Null has no meaning: programs read it in different ways.
            Qwen3 if self.raw("head_dim").is_some_and(Value::is_null) => {
                return Err(self.wrong_kind("head_dim", "a size", &Value::Null));
            }
            Qwen3 => match self.maybe_size("head_dim")? {
                Some(size) => size,
                None => absent.take(&HEAD_DIM, 128),
            },
            _ => self.head_size(own, hidden, heads)?,
        };
        if architecture == Phi3 && head_size * heads != hidden {
            return Err(invalid(
                CONFIG_HEAD_DIM,
                "head_dim is not hidden_size over num_attention_heads",
            )
            .expected(hidden as f64 / heads as f64, head_size));
        }
        for field in ["is_causal", "causal"] {
            self.refuse_unless(field, &Value::from(true))?;
        }
        let (attention_bias, forward_bias) = match architecture {
            Llama => (self.flag("attention_bias", false)?, self.flag("mlp_bias", false)?),
            Qwen3 => (self.flag("attention_bias", false)?, false),
            Qwen2 => {
                self.refuse_unless("attention_bias", &Value::from(true))?;
                self.refuse_unless("qkv_bias", &Value::from(true))?;
                (true, false)
            }
            _ => (false, false),
        };
        let vocabulary = self.size("vocab_size")?;
        let layers = self.fact(&LAYERS, own.layers)?;
        let longest = self.fact(&POSITIONS, own.positions)?;
        Ok(Config {
            vocabulary,
            hidden,
            layers,
            heads,
            key_heads: self.key_heads(architecture, heads, &mut absent)?,
            head_size,
            // Documented default: four times the hidden size.
            inner: match self.maybe_fact(&INNER, own.inner)? {
                Some(inner) => inner,
                None => absent.take(&WIDTH, 4 * hidden),
            },
            activation: self.activation(own, architecture)?,
            longest,
            epsilon: self.epsilon(own, if architecture == Phi3 { 1e-5 } else { 1e-6 })?,
            padding: self.padding(0, vocabulary)?,
            rotary: Some(self.rotary(own, 10_000.0)?),
            window: self.window(
                match architecture {
                    Mistral => Windows::Always(Some(4096)),
                    Phi3 => Windows::Always(None),
                    Qwen2 | Qwen3 => Windows::Asked,
                    _ => Windows::Never,
                },
                layers,
                longest,
            )?,
            attention_bias,
            forward_bias,
            // A Qwen2 that serves as an encoder has no head, so the flag has no effect there.
            tied: self.flag("tie_word_embeddings", false)?,
            absent,
            ..blank(architecture)
        })
    }

    /// Key heads. Null means as many as heads; absent, each family has its own default.
    fn key_heads(
        &self,
        architecture: Architecture,
        heads: usize,
        absent: &mut Absent,
    ) -> Result<usize> {
        use Architecture::{Mistral, Qwen2, Qwen3};
        let field = "num_key_value_heads";
        let stated = self.maybe_fact(&KEY_HEADS, &[field])?;
        if architecture == Mistral {
            self.refuse_null(field)?;
        }
        if let Some(stated) = stated {
            return Ok(stated);
        }
        if self.raw(field).is_some() {
            return Ok(heads);
        }
        let default = match architecture {
            Mistral => 8,
            Qwen2 | Qwen3 => 32,
            _ => heads,
        };
        absent.take(&KEY_HEADS_KEY, default);
        if !heads.is_multiple_of(default) {
            let message = "num_key_value_heads is absent, and its default does not divide \
                           num_attention_heads";
            return Err(invalid(CONFIG_CONTRADICTS, message)
                .expected(format!("num_key_value_heads, a divisor of {heads}"), default));
        }
        Ok(default)
    }

    fn gpt2(&self) -> Result<Config> {
        let own = &GPT2;
        let mut absent = Absent::default();
        let (hidden, heads) = (self.fact(&HIDDEN, own.hidden)?, self.fact(&HEADS, own.heads)?);
        if !hidden.is_multiple_of(heads) {
            return Err(invalid(CONFIG_CONTRADICTS, "n_head does not divide n_embd")
                .expected(format!("a divisor of {hidden}"), heads));
        }
        self.refuse_unless("scale_attn_weights", &Value::from(true))?;
        self.refuse_unless("scale_attn_by_inverse_layer_idx", &Value::from(false))?;
        self.refuse_unless("add_cross_attention", &Value::from(false))?;
        self.refuse_unless("position_embedding_type", &Value::from("absolute"))?;
        for field in ["is_causal", "causal"] {
            self.refuse_unless(field, &Value::from(true))?;
        }
        let vocabulary = self.size("vocab_size")?;
        let positions = self.fact(&POSITIONS, own.positions)?;
        Ok(Config {
            vocabulary,
            hidden,
            layers: self.fact(&LAYERS, own.layers)?,
            heads,
            key_heads: heads,
            head_size: hidden / heads,
            inner: match self.maybe_fact(&INNER, own.inner)? {
                Some(inner) => inner,
                None => absent.take(&INNER_OF_GPT2, 4 * hidden),
            },
            activation: self.activation(own, Architecture::Gpt2)?,
            longest: positions,
            positions,
            epsilon: self.epsilon(own, 1e-5)?,
            padding: self.padding(0, vocabulary)?,
            attention_bias: true,
            forward_bias: true,
            tied: self.flag("tie_word_embeddings", true)?,
            tied_by_default: self.get("tie_word_embeddings").is_none(),
            absent,
            ..blank(Architecture::Gpt2)
        })
    }

    fn head_size(&self, own: &Own, hidden: usize, heads: usize) -> Result<usize> {
        match self.maybe_size("head_dim")? {
            Some(size) => Ok(size),
            None if hidden.is_multiple_of(heads) => Ok(hidden / heads),
            None => {
                let (whole, part) = (own.hidden[0], own.heads[0]);
                Err(invalid(CONFIG_CONTRADICTS, format!("{part} does not divide {whole}"))
                    .expected(format!("a divisor of {hidden}"), heads))
            }
        }
    }

    fn epsilon(&self, own: &Own, usual: f32) -> Result<f32> {
        match self.spelled(&EPSILON, own.epsilon)? {
            Some(name) => Ok(self.number(name)?.unwrap_or(usual)),
            None => Ok(usual),
        }
    }

    fn activation(&self, own: &Own, architecture: Architecture) -> Result<Activation> {
        use Architecture::{Bert, Gpt2, Roberta};
        let Some(field) = self.spelled(&ACTIVATION, own.activation)? else {
            return Ok(match architecture {
                Bert | Roberta => Activation::Gelu,
                Gpt2 => Activation::GeluTanh,
                _ => Activation::Silu,
            });
        };
        // The code that NomicBERT was published with names the gate and its activation in one word;
        // without such a word it has no gate.
        let words = architecture == Architecture::Nomic && field == "activation_function";
        Ok(match (words, self.text(field)?) {
            (false, "gelu" | "gelu_python") | (true, "geglu") => Activation::Gelu,
            (
                false,
                "gelu_new" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_fast"
                | "gelu_accurate",
            ) => Activation::GeluTanh,
            (false, "silu" | "swish") | (true, "swiglu") => Activation::Silu,
            (false, "relu") => Activation::Relu,
            (words, other) => {
                let served = match words {
                    true => "swiglu or geglu",
                    false => {
                        "gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, gelu_accurate, silu, swish \
                         or relu"
                    }
                };
                return Err(self.not_supported(field, &Value::from(other), served));
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
        tied_by_default: false,
        absent: Absent::default(),
        ends: Vec::new(),
        settings: Settings::default(),
        unread: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
