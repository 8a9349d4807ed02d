//! Reads single fields of `config.json`. Refuses fields that are missing or of the wrong kind, and
//! remembers which fields were read.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::loader::error::{LoadError, Result, json_text};
use crate::loader::remedies::Cause;
use crate::loader::remedies::config::{
    CONFIG_END_TOKEN, CONFIG_FIELD_KIND, CONFIG_FIELD_MISSING, CONFIG_NOT_SUPPORTED,
    CONFIG_PAD_TOKEN,
};

/// A configuration's object, or an object inside it.
pub(super) struct Fields<'v> {
    value: &'v Value,
    /// What stands before its fields' names in a message, such as `rope_scaling.`.
    within: String,
    read: RefCell<BTreeSet<String>>,
}

impl<'v> Fields<'v> {
    pub(super) fn new(value: &'v Value) -> Self {
        Fields { value, within: String::new(), read: RefCell::default() }
    }

    /// The object in a field of this one.
    pub(super) fn inside(&self, field: &str, value: &'v Value) -> Self {
        Fields { within: format!("{}.", self.named(field)), ..Fields::new(value) }
    }

    /// A field's name, with those of the objects around it.
    pub(super) fn named(&self, field: &str) -> String {
        format!("{}{field}", self.within)
    }

    /// The field's value, null or not; `None` if it is missing.
    pub(super) fn raw(&self, field: &str) -> Option<&'v Value> {
        self.read.borrow_mut().insert(field.to_owned());
        self.value.get(field)
    }

    /// The field's value; `None` if it is missing or null.
    pub(super) fn get(&self, field: &str) -> Option<&'v Value> {
        self.raw(field).filter(|value| !value.is_null())
    }

    /// The fields that nothing has read, with their values.
    pub(super) fn unread(&self) -> Vec<(&'v String, &'v Value)> {
        let read = self.read.borrow();
        let all = self.value.as_object().into_iter().flatten();
        all.filter(|(field, _)| !read.contains(*field)).collect()
    }

    pub(super) fn text(&self, field: &str) -> Result<&'v str> {
        let value = self.get(field).ok_or_else(|| self.missing(field))?;
        value.as_str().ok_or_else(|| self.wrong_kind(field, "a text", value))
    }

    /// A whole number from 0 to 2^32 - 1; `None` if it is missing.
    pub(super) fn whole(&self, field: &str) -> Result<Option<usize>> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => {
                let size = value.as_u64().and_then(|size| u32::try_from(size).ok());
                let wanted = "a whole number from 0 to 2^32 - 1";
                let size = size.ok_or_else(|| self.wrong_kind(field, wanted, value))?;
                Ok(Some(size as usize))
            }
        }
    }

    /// A size; 0 is refused. `None` if it is missing.
    pub(super) fn maybe_size(&self, field: &str) -> Result<Option<usize>> {
        match self.whole(field)? {
            Some(0) => Err(self.wrong_kind(field, "at least 1", &Value::from(0))),
            size => Ok(size),
        }
    }

    /// A required size; 0 is refused.
    pub(super) fn size(&self, field: &str) -> Result<usize> {
        self.maybe_size(field)?.ok_or_else(|| self.missing(field))
    }

    /// A number above zero that fits in F32, the loader's type for it; `None` if it is missing.
    pub(super) fn number(&self, field: &str) -> Result<Option<f32>> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_f64().map(|number| number as f32);
                let number = number.filter(|number| *number > 0.0 && number.is_finite());
                let wanted = "a number above zero that fits in F32";
                number.map(Some).ok_or_else(|| self.wrong_kind(field, wanted, value))
            }
        }
    }

    /// The ids of the tokens that end a sequence: one or several. -1 stands for no token, as it does
    /// for transformers.
    pub(super) fn ends(&self, vocabulary: usize) -> Result<Option<Vec<u32>>> {
        let field = "eos_token_id";
        let Some(value) = self.get(field) else { return Ok(None) };
        let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let named = all.iter().filter(|value| value.as_i64() != Some(-1));
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
        named.map(id).collect::<Result<_>>().map(Some)
    }

    /// The padding token; `default` where none is named. -1 names none.
    pub(super) fn padding(&self, default: usize, vocabulary: usize) -> Result<usize> {
        let field = "pad_token_id";
        if self.get(field).and_then(Value::as_i64) == Some(-1) {
            return Ok(default);
        }
        let padding = self.whole(field)?.unwrap_or(default);
        if padding >= vocabulary {
            return Err(invalid(
                CONFIG_PAD_TOKEN,
                format!("{field} is not a token of the vocabulary"),
            )
            .expected(format!("an id from 0 to {}", vocabulary.saturating_sub(1)), padding));
        }
        Ok(padding)
    }

    /// A flag, or the default if the field is missing. Null is no flag.
    pub(super) fn flag(&self, field: &str, default: bool) -> Result<bool> {
        match self.raw(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong_kind(field, "true or false", other)),
        }
    }

    /// Refuses null, where only a field that is missing stands for the default.
    pub(super) fn refuse_null(&self, field: &str) -> Result<()> {
        match self.raw(field) {
            Some(Value::Null) => {
                Err(self.wrong_kind(field, "a value, or no such field", &Value::Null))
            }
            _ => Ok(()),
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
        match self.raw(field).filter(|value| !same(value)) {
            Some(value) => Err(self.not_supported(field, value, &json_text(supported))),
            None => Ok(()),
        }
    }

    /// The error for a setting that this loader does not serve.
    pub(super) fn not_supported(&self, field: &str, value: &Value, supported: &str) -> LoadError {
        let setting = format!("{} = {}", self.named(field), json_text(value));
        let cause = CONFIG_NOT_SUPPORTED.about([&setting]);
        invalid(cause, format!("{setting} is not supported")).expected(supported, json_text(value))
    }

    /// The error for a field that must be there.
    pub(super) fn missing(&self, field: &str) -> LoadError {
        let field = self.named(field);
        invalid(CONFIG_FIELD_MISSING.about([&field]), format!("{field} is missing"))
            .expected(format!("a field {field}"), "none")
    }

    /// The error for a field whose value is of the wrong kind.
    pub(super) fn wrong_kind(&self, field: &str, wanted: &str, found: &Value) -> LoadError {
        let field = self.named(field);
        let cause = CONFIG_FIELD_KIND.about([&field]);
        invalid(cause, format!("{field} is not {wanted}")).expected(wanted, json_text(found))
    }
}

pub(super) fn invalid(cause: impl Into<Cause>, message: impl Into<String>) -> LoadError {
    LoadError::header(cause, message)
}

#[cfg(test)]
mod tests;
