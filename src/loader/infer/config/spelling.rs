//! The names that publishers give to one fact. A family reads the fact under its own names. Under
//! another family's name, or under two names with two values, it is refused.

use serde_json::Value;

use crate::loader::error::{LoadError, Result, json_text};
use crate::loader::remedies::config::{CONFIG_FIELD_RENAMED, CONFIG_FIELD_TWICE};

use super::fields::{Fields, invalid};

/// A fact: every name that it has in some family, and whether two of its values mean the same.
pub(super) struct Fact {
    names: &'static [&'static str],
    same: fn(&Value, &Value) -> bool,
}

/// Width of a token's state.
pub(super) const HIDDEN: Fact = size(&["hidden_size", "n_embd", "d_model", "dim"]);
/// Number of layers.
pub(super) const LAYERS: Fact = size(&["num_hidden_layers", "n_layer", "n_layers", "num_layers"]);
/// Number of query heads.
pub(super) const HEADS: Fact = size(&["num_attention_heads", "n_head", "n_heads", "num_heads"]);
/// Number of key heads.
pub(super) const KEY_HEADS: Fact = size(&["num_key_value_heads", "n_kv_heads", "num_kv_heads"]);
/// Width of the feed-forward block.
pub(super) const INNER: Fact =
    size(&["intermediate_size", "n_inner", "hidden_dim", "ffn_dim", "d_ff", "ffn_hidden_size"]);
/// Longest input.
pub(super) const POSITIONS: Fact =
    size(&["max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"]);
/// Epsilon of the norms.
pub(super) const EPSILON: Fact = size(&[
    "rms_norm_eps",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "norm_eps",
    "norm_epsilon",
    "layernorm_epsilon",
    "rms_norm_epsilon",
]);
/// Activation of the feed-forward block.
pub(super) const ACTIVATION: Fact = Fact {
    names: &["hidden_act", "activation_function", "hidden_activation", "activation"],
    same: same_activation,
};
/// Base of the rotary frequencies.
pub(super) const ROTARY_BASE: Fact =
    size(&["rope_theta", "rotary_emb_base", "rotary_base", "rope_base", "rope_freq_base"]);

/// The names that one family reads its facts under. The first of each is the one to write.
pub(super) struct Own {
    pub(super) hidden: &'static [&'static str],
    pub(super) layers: &'static [&'static str],
    pub(super) heads: &'static [&'static str],
    pub(super) inner: &'static [&'static str],
    pub(super) positions: &'static [&'static str],
    pub(super) epsilon: &'static [&'static str],
    pub(super) activation: &'static [&'static str],
    pub(super) rotary_base: &'static [&'static str],
}

/// Llama and the decoders after it.
pub(super) const DECODER: Own = Own {
    hidden: &["hidden_size"],
    layers: &["num_hidden_layers"],
    heads: &["num_attention_heads"],
    inner: &["intermediate_size"],
    positions: &["max_position_embeddings"],
    epsilon: &["rms_norm_eps"],
    activation: &["hidden_act"],
    rotary_base: &["rope_theta"],
};

/// BERT and RoBERTa.
pub(super) const ENCODER: Own = Own { epsilon: &["layer_norm_eps"], ..DECODER };

/// NomicBERT: the names of transformers, and those of the code that it was published with.
pub(super) const NOMIC: Own = Own {
    hidden: &["hidden_size", "n_embd"],
    layers: &["num_hidden_layers", "n_layer"],
    heads: &["num_attention_heads", "n_head"],
    inner: &["intermediate_size", "n_inner"],
    positions: &["max_position_embeddings", "n_positions"],
    epsilon: &["layer_norm_eps", "layer_norm_epsilon"],
    activation: &["hidden_act", "activation_function"],
    rotary_base: &["rope_theta", "rotary_emb_base"],
};

/// GPT-2: its own names, and those that transformers accepts in their place.
pub(super) const GPT2: Own = Own {
    hidden: &["n_embd", "hidden_size"],
    layers: &["n_layer", "num_hidden_layers"],
    heads: &["n_head", "num_attention_heads"],
    inner: &["n_inner"],
    positions: &["n_positions", "max_position_embeddings"],
    epsilon: &["layer_norm_epsilon"],
    activation: &["activation_function"],
    rotary_base: &[],
};

const fn size(names: &'static [&'static str]) -> Fact {
    Fact { names, same: same_number }
}

/// Whether two values are equal, as numbers if they are numbers: 1 is 1.0.
pub(super) fn same_number(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|one| other.as_f64() == Some(one))
}

/// Whether two names of activations mean the same one.
fn same_activation(one: &Value, other: &Value) -> bool {
    let plain = |value: &Value| match value.as_str() {
        Some("swish" | "swiglu") => "silu".to_owned(),
        Some("geglu") => "gelu".to_owned(),
        Some(name) => name.to_owned(),
        None => value.to_string(),
    };
    plain(one) == plain(other)
}

impl Fields<'_> {
    /// The field under which a fact stands, by a family's own names; `None` if it stands nowhere.
    ///
    /// # Errors
    /// If it stands under another family's name only, or under two names with two values.
    pub(super) fn spelled(
        &self,
        fact: &Fact,
        own: &[&'static str],
    ) -> Result<Option<&'static str>> {
        let there = |name: &&str| self.get(name).is_some();
        let Some(name) = own.iter().copied().find(there) else {
            // GPT-2 gives the width of its feed-forward block as null, and older Llamas their key heads.
            own.iter()
                .filter(|name| !["n_inner", "num_key_value_heads"].contains(name))
                .try_for_each(|name| self.refuse_null(name))?;
            let other = fact.names.iter().copied().find(there);
            return match (other, own.first()) {
                (Some(other), Some(wanted)) => Err(self.renamed(wanted, other)),
                _ => Ok(None),
            };
        };
        for other in fact.names.iter().filter(|other| **other != name) {
            match (self.get(name), self.get(other)) {
                (Some(one), Some(two)) if !(fact.same)(one, two) => {
                    return Err(twice((&self.named(name), one), (&self.named(other), two)));
                }
                _ => {}
            }
        }
        Ok(Some(name))
    }

    /// A size that must stand under one of a family's own names.
    pub(super) fn fact(&self, fact: &Fact, own: &[&'static str]) -> Result<usize> {
        let wanted = own.first().copied().unwrap_or_default();
        self.size(self.spelled(fact, own)?.unwrap_or(wanted))
    }

    /// A size that may be absent.
    pub(super) fn maybe_fact(&self, fact: &Fact, own: &[&'static str]) -> Result<Option<usize>> {
        match self.spelled(fact, own)? {
            Some(name) => self.maybe_size(name),
            None => Ok(None),
        }
    }

    /// The error for a field that is there under another architecture's name.
    fn renamed(&self, wanted: &str, other: &str) -> LoadError {
        let cause = CONFIG_FIELD_RENAMED.about([other, wanted]);
        invalid(cause, format!("{wanted} is missing, and {other} is there"))
            .expected(format!("a field {wanted}"), format!("a field {other}"))
    }
}

/// The error for a fact that stands in two places with two values.
pub(super) fn twice((one, first): (&str, &Value), (other, second): (&str, &Value)) -> LoadError {
    invalid(
        CONFIG_FIELD_TWICE.about([one, other]),
        format!("{one} and {other} contradict each other"),
    )
    .expected(
        format!("one value for both, or one of them only: {one} = {}", json_text(first)),
        format!("{other} = {}", json_text(second)),
    )
}
