//! Reads single fields of `config.json`. Refuses fields that are missing or of the wrong kind.

use serde_json::Value;

use crate::loader::error::{LoadError, Result, json_text};
use crate::loader::remedies::Cause;
use crate::loader::remedies::config::{
    CONFIG_END_TOKEN, CONFIG_FIELD_KIND, CONFIG_FIELD_MISSING, CONFIG_FIELD_RENAMED,
    CONFIG_NOT_SUPPORTED,
};

/// A configuration's object.
pub(super) struct Fields<'v>(pub(super) &'v Value);

impl<'v> Fields<'v> {
    /// The field's value; `None` if it is missing or null.
    pub(super) fn get(&self, field: &str) -> Option<&'v Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, field: &str) -> Result<&'v str> {
        let value = self.get(field).ok_or_else(|| missing(field))?;
        value.as_str().ok_or_else(|| wrong_kind(field, "a text", value))
    }

    /// A whole number from 0 to 2^32 - 1; `None` if it is missing.
    pub(super) fn whole(&self, field: &str) -> Result<Option<usize>> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let size = value.as_u64().and_then(|size| u32::try_from(size).ok());
                let size = size
                    .ok_or_else(|| wrong_kind(field, "a whole number from 0 to 2^32 - 1", value))?;
                Ok(Some(size as usize))
            }
        }
    }

    /// A size; 0 is refused. `None` if it is missing.
    pub(super) fn maybe_size(&self, field: &str) -> Result<Option<usize>> {
        match self.whole(field)? {
            Some(0) => Err(wrong_kind(field, "at least 1", &Value::from(0))),
            size => Ok(size),
        }
    }

    /// A required size; 0 is refused.
    pub(super) fn size(&self, field: &str) -> Result<usize> {
        self.maybe_size(field)?.ok_or_else(|| self.missing_or_renamed(field))
    }

    /// A number above zero that fits in F32, the loader's type for it; `None` if it is missing.
    pub(super) fn number(&self, field: &str) -> Result<Option<f32>> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_f64().map(|number| number as f32);
                let number = number.filter(|number| *number > 0.0 && number.is_finite());
                let wanted = "a number above zero that fits in F32";
                number.map(Some).ok_or_else(|| wrong_kind(field, wanted, value))
            }
        }
    }

    /// The ids of the tokens that end a sequence: one or several.
    pub(super) fn ends(&self, vocabulary: usize) -> Result<Option<Vec<u32>>> {
        let field = "eos_token_id";
        let Some(value) = self.get(field) else { return Ok(None) };
        let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let id = |value: &Value| {
            let id = value.as_u64().filter(|id| *id < vocabulary as u64);
            id.map(|id| id as u32).ok_or_else(|| {
                invalid(CONFIG_END_TOKEN, format!("{field} is not a token of the vocabulary"))
                    .expected(
                        format!("ids from 0 to {}", vocabulary.saturating_sub(1)),
                        json_text(value),
                    )
            })
        };
        all.iter().map(id).collect::<Result<_>>().map(Some)
    }

    /// A flag, or the default if the field is missing.
    pub(super) fn flag(&self, field: &str, default: bool) -> Result<bool> {
        match self.get(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong_kind(field, "true or false", other)),
        }
    }

    /// Refuses any value except the supported one. A missing field is accepted.
    pub(super) fn refuse_unless(&self, field: &str, supported: &Value) -> Result<()> {
        // 1 and 1.0 are the same number.
        let same = |value: &Value| {
            let number = value.as_f64();
            value == supported
                || value.is_null()
                || number.is_some() && number == supported.as_f64()
        };
        match self.0.get(field).filter(|value| !same(value)) {
            Some(value) => {
                let setting = format!("{field} = {}", json_text(value));
                let cause = CONFIG_NOT_SUPPORTED.about([&setting]);
                Err(invalid(cause, format!("{setting} is not supported"))
                    .expected(json_text(supported), json_text(value)))
            }
            None => Ok(()),
        }
    }

    /// The error for a missing field. If the field exists under another architecture's name, says
    /// so.
    fn missing_or_renamed(&self, field: &str) -> LoadError {
        let other = SPELLINGS
            .into_iter()
            .flat_map(|(a, b)| [(a, b), (b, a)])
            .find(|(wanted, other)| *wanted == field && self.get(other).is_some());
        let Some((_, other)) = other else { return missing(field) };
        let cause = CONFIG_FIELD_RENAMED.about([other, field]);
        invalid(cause, format!("{field} is missing, and {other} is there"))
            .expected(format!("a field {field}"), format!("a field {other}"))
    }
}

/// Names with the same meaning: that of BERT and Llama, and that of GPT-2 or another family.
const SPELLINGS: [(&str, &str); 6] = [
    ("hidden_size", "n_embd"),
    ("num_attention_heads", "n_head"),
    ("num_hidden_layers", "n_layer"),
    ("intermediate_size", "n_inner"),
    ("max_position_embeddings", "n_positions"),
    ("hidden_size", "d_model"),
];

pub(super) fn missing(field: &str) -> LoadError {
    invalid(CONFIG_FIELD_MISSING.about([field]), format!("{field} is missing"))
        .expected(format!("a field {field}"), "none")
}

/// The error for a field whose value is of the wrong kind.
pub(super) fn wrong_kind(field: &str, wanted: &str, found: &Value) -> LoadError {
    let cause = CONFIG_FIELD_KIND.about([field]);
    invalid(cause, format!("{field} is not {wanted}")).expected(wanted, json_text(found))
}

pub(super) fn invalid(cause: impl Into<Cause>, message: impl Into<String>) -> LoadError {
    LoadError::header(cause, message)
}

#[cfg(test)]
mod tests;
