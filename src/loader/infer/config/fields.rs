//! One field of `config.json` at a time: there and of its kind, or refused.

use serde_json::Value;

use crate::contract::Code;
use crate::loader::error::{LoadError, Result, quote};

/// A configuration's object.
pub(super) struct Fields<'v>(pub(super) &'v Value);

impl<'v> Fields<'v> {
    /// What stands there, null taken for nothing.
    pub(super) fn get(&self, field: &str) -> Option<&'v Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, field: &str) -> Result<&'v str> {
        let value = self.0.get(field).ok_or_else(|| missing(field))?;
        value.as_str().ok_or_else(|| {
            invalid(format!("{field} is no text")).expected("a text", quote(&value.to_string()))
        })
    }

    /// A whole number, zero as well.
    pub(super) fn whole(&self, field: &str) -> Result<Option<usize>> {
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
    pub(super) fn maybe_size(&self, field: &str) -> Result<Option<usize>> {
        match self.whole(field)? {
            Some(0) => Err(invalid(format!("{field} is zero")).expected("at least 1", 0)),
            size => Ok(size),
        }
    }

    /// A size that must be there and not zero.
    pub(super) fn size(&self, field: &str) -> Result<usize> {
        self.maybe_size(field)?.ok_or_else(|| missing(field))
    }

    /// A number above zero, and within F32: what it is rounded to is computed with.
    pub(super) fn number(&self, field: &str) -> Result<Option<f32>> {
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

    /// The tokens that end a sequence: one, or several.
    pub(super) fn ends(&self, vocabulary: usize) -> Result<Option<Vec<u32>>> {
        let field = "eos_token_id";
        let Some(value) = self.get(field) else { return Ok(None) };
        let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let id = |value: &Value| {
            let id = value.as_u64().filter(|id| *id < vocabulary as u64);
            id.map(|id| id as u32).ok_or_else(|| {
                invalid(format!("{field} is no token")).expected(
                    format!("ids from 0 to {}", vocabulary.saturating_sub(1)),
                    quote(&value.to_string()),
                )
            })
        };
        all.iter().map(id).collect::<Result<_>>().map(Some)
    }

    /// Whether a flag is set; the default where it is not there.
    pub(super) fn flag(&self, field: &str, default: bool) -> Result<bool> {
        match self.get(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(invalid(format!("{field} is no flag"))
                .expected("true or false", quote(&other.to_string()))),
        }
    }

    /// Refuses a field that is there with another value than the one that is honoured.
    pub(super) fn refuse_unless(&self, field: &str, honoured: &Value) -> Result<()> {
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

pub(super) fn missing(field: &str) -> LoadError {
    invalid(format!("{field} is missing")).expected(format!("a field {field}"), "none")
}

pub(super) fn invalid(message: impl Into<String>) -> LoadError {
    LoadError::header(Code::InvalidConfig, message)
        .remedy("fetch config.json again, from the revision that the weights are of")
}
