//! Reads fields of `config.json`. A field may go by several names; `null` counts as absent. Two names
//! with different values contradict each other, and nobody can say which one counts.

use serde_json::{Map, Value};

use crate::harness::model::file::CONFIG;

/// The fields of `config.json`.
pub(super) struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(super) fn of(config: &'a Value) -> Result<Fields<'a>, String> {
        let map = config.as_object().ok_or_else(|| format!("{CONFIG} is not a JSON object"))?;
        Ok(Fields(map))
    }

    /// Whether a field is there, with whatever value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a field is there and is `null`.
    pub(super) fn null(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Value::is_null)
    }

    /// A field that is there and not `null`.
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The value of the names that are there, which must be one.
    fn one(&self, names: &[&str]) -> Result<Option<(String, &'a Value)>, String> {
        let mut found: Option<(String, &Value)> = None;
        for name in names {
            let Some(value) = self.value(name) else { continue };
            match &found {
                None => found = Some(((*name).to_owned(), value)),
                Some((_, first)) if same(first, value) => {}
                Some((other, first)) => {
                    return Err(format!("{CONFIG}: {other} is {first}, but {name} is {value}"));
                }
            }
        }
        Ok(found)
    }

    pub(super) fn size(&self, names: &[&str]) -> Result<Option<usize>, String> {
        self.one(names)?.map(|(name, value)| size(&name, value)).transpose()
    }

    pub(super) fn number(&self, names: &[&str]) -> Result<Option<f64>, String> {
        self.one(names)?.map(|(name, value)| number(&name, value)).transpose()
    }

    pub(super) fn text(&self, names: &[&str]) -> Result<Option<String>, String> {
        let text = |(name, value): (String, &Value)| match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("{CONFIG}: {name} is {value}, not a text")),
        };
        self.one(names)?.map(text).transpose()
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        let flag = |value: &Value| match value.as_bool() {
            Some(flag) => Ok(flag),
            None => Err(format!("{CONFIG}: {name} is {value}, not true or false")),
        };
        self.value(name).map(flag).transpose()
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let list = value.as_array().and_then(|all| {
            all.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        list.map(Some).ok_or_else(|| format!("{CONFIG}: {name} is not a list of texts"))
    }

    /// A token's id. One that the vocabulary does not have counts as none.
    pub(super) fn token(&self, name: &str, vocabulary: usize) -> Result<Option<usize>, String> {
        let tokens = self.tokens(name)?;
        Ok(tokens.first().map(|id| *id as usize).filter(|id| *id < vocabulary))
    }

    /// Ids of tokens: one or a list. -1 means that there is none.
    pub(super) fn tokens(&self, name: &str) -> Result<Vec<u32>, String> {
        let Some(value) = self.value(name) else { return Ok(Vec::new()) };
        let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let mut tokens = Vec::new();
        for one in all.iter().filter(|one| one.as_i64() != Some(-1)) {
            let id = one.as_u64().and_then(|id| u32::try_from(id).ok());
            tokens
                .push(id.ok_or_else(|| format!("{CONFIG}: {name} has {one}, which is no token"))?);
        }
        Ok(tokens)
    }
}

/// Sizes from this on are not described.
const LARGEST: usize = 1 << 31;

/// Names of the number of layers, and most of them.
const LAYERS: [&str; 3] = ["num_hidden_layers", "n_layer", "n_layers"];
const MOST_LAYERS: usize = 10_000;

/// A value as a size.
pub(super) fn size(name: &str, value: &Value) -> Result<usize, String> {
    let size = value.as_u64().map(|size| size as usize);
    match size.ok_or_else(|| format!("{CONFIG}: {name} is {value}, not a size"))? {
        // Products of two sizes must fit, and a list with a place for each layer must fit in memory.
        size if size >= LARGEST => {
            Err(format!("{CONFIG}: {name} is {size}, too large to describe"))
        }
        size if size > MOST_LAYERS && LAYERS.contains(&name) => {
            Err(format!("{CONFIG}: {name} is {size}, more layers than can be described"))
        }
        size => Ok(size),
    }
}

/// A value as a number.
pub(super) fn number(name: &str, value: &Value) -> Result<f64, String> {
    let number = value.as_f64().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("{CONFIG}: {name} is {value}, not a number"))
}

/// Whether two values are the same: 1 and 1.0 are.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some_and(|a| b.as_f64() == Some(a))
}
