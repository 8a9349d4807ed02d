//! Arguments by place and by name.

use super::fault::{Result, failed};
use super::value::{Arguments, Value};

impl Arguments {
    /// The values of named parameters.
    ///
    /// # Errors
    /// If there is an argument too many, or one with another name.
    pub fn bind<const N: usize>(self, of: &str, names: [&str; N]) -> Result<[Option<Value>; N]> {
        let mut bound: [Option<Value>; N] = std::array::from_fn(|_| None);
        if self.positional.len() > N {
            let count = self.positional.len();
            return failed(format!("{of}() takes at most {N} arguments ({count} given)"));
        }
        for (place, value) in bound.iter_mut().zip(self.positional) {
            *place = Some(value);
        }
        for (name, value) in self.named {
            match names.iter().position(|one| *one == name) {
                Some(index) if bound[index].is_none() => bound[index] = Some(value),
                Some(_) => {
                    return failed(format!("{of}() got multiple values for argument '{name}'"));
                }
                None => {
                    return failed(format!("{of}() got an unexpected keyword argument '{name}'"));
                }
            }
        }
        Ok(bound)
    }

    /// No argument at all.
    pub fn none(self, of: &str) -> Result<()> {
        self.bind(of, []).map(|[]| ())
    }
}

/// An argument that must be there.
pub fn needed(value: Option<Value>, of: &str) -> Result<Value> {
    value.map_or_else(|| failed(format!("{of}() misses a required argument")), Ok)
}

/// A text argument, where there is one.
pub fn word(value: Option<Value>, of: &str) -> Result<Option<String>> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.text.to_string())),
        Some(other) => failed(format!("{of}() expects str, not {}", other.kind())),
    }
}

/// An integer argument, where there is one.
pub fn integer(value: Option<Value>, of: &str) -> Result<Option<i64>> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(other) => match other.as_int() {
            Some(value) => Ok(Some(value)),
            None => failed(format!("{of}() expects int, not {}", other.kind())),
        },
    }
}
