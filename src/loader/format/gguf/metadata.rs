//! Reads GGUF's metadata: typed values under unique keys.

use std::collections::BTreeMap;

use crate::loader::error::{LoadError, Result, quote};
use crate::loader::format::{damaged_setting, not_supported};
use crate::loader::remedies::header::{INVALID_FIELD, KEY_TWICE};

use super::Front;
use super::value::{Value, misfit, misfit_found, value};

/// Most keys, and longest key in bytes. Source of the second: the format's specification.
const MOST_KEYS: u64 = 1 << 16;
const LONGEST_KEY: u64 = (1 << 16) - 1;

/// All keys.
#[derive(Clone, Debug, Default)]
pub struct Metadata(BTreeMap<String, Value>);

impl Metadata {
    /// Reads `keys` keys.
    ///
    /// # Errors
    /// The `invalid_header` family.
    pub fn read(front: &mut Front<'_>, keys: u64) -> Result<Metadata> {
        // A key has at least 13 bytes: its length, its type, a value of one byte.
        let keys = front.count(keys, 13, MOST_KEYS, "keys")?;
        let mut all = BTreeMap::new();
        for _ in 0..keys {
            let key = front.text(LONGEST_KEY, "a key")?;
            if !key.is_ascii() {
                return Err(LoadError::header(INVALID_FIELD, "a key that is not ASCII")
                    .expected("keys in ASCII", quote(&key)));
            }
            let kind = front.u32()?;
            let value = value(front, kind, &key)?;
            if all.insert(key.clone(), value).is_some() {
                return Err(LoadError::header(
                    KEY_TWICE.about([&quote(&key)]),
                    format!("key given twice: {}", quote(&key)),
                )
                .expected("every key once", quote(&key)));
            }
        }
        Ok(Metadata(all))
    }

    /// Returns a key's value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Returns the keys that begin with a prefix, without the prefix.
    pub fn behind<'m>(&'m self, prefix: &'m str) -> impl Iterator<Item = &'m str> {
        self.0.keys().filter_map(move |key| key.strip_prefix(prefix))
    }

    /// Returns a whole number, 0 or more.
    ///
    /// # Errors
    /// `invalid_field` for anything else.
    pub fn whole(&self, key: &str) -> Result<Option<u64>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Whole(number)) => {
                let number = u64::try_from(*number);
                number.map(Some).map_err(|_| misfit(key, "a whole number, 0 or more"))
            }
            Some(_) => Err(misfit(key, "a whole number")),
        }
    }

    /// Returns a floating-point number.
    ///
    /// # Errors
    /// As above.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(*number)),
            Some(_) => Err(misfit(key, "a number")),
        }
    }

    /// Returns a text.
    ///
    /// # Errors
    /// As above.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(misfit(key, "a text")),
        }
    }

    /// Returns a flag.
    ///
    /// # Errors
    /// As above.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(misfit(key, "a flag")),
        }
    }

    /// Returns an array of texts.
    ///
    /// # Errors
    /// As above.
    pub fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Texts(texts)) => Ok(Some(texts)),
            Some(_) => Err(misfit(key, "an array of texts")),
        }
    }

    /// Returns an array of whole numbers.
    ///
    /// # Errors
    /// As above.
    pub fn wholes(&self, key: &str) -> Result<Option<&[i64]>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Wholes(numbers)) => Ok(Some(numbers)),
            Some(_) => Err(misfit(key, "an array of whole numbers")),
        }
    }

    /// Returns an array of floating-point numbers. Whole numbers are converted.
    ///
    /// # Errors
    /// As above.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f32>>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Numbers(numbers)) => Ok(Some(numbers.clone())),
            Some(Value::Wholes(numbers)) => Ok(Some(numbers.iter().map(|n| *n as f32).collect())),
            Some(_) => Err(misfit(key, "an array of numbers")),
        }
    }

    /// Returns a whole number, 0 or more, that may be given for each of the layers.
    ///
    /// # Errors
    /// As above; `invalid_config` if layers differ, or if there is not one number for each layer.
    pub fn for_all_layers(&self, key: &str, layers: u64) -> Result<Option<u64>> {
        let Some(Value::Wholes(each)) = self.get(key) else { return self.whole(key) };
        if each.len() as u64 != layers {
            return Err(damaged_setting(format!("{key} does not have one number for each layer"))
                .expected(format!("{layers} numbers"), each.len()));
        }
        match each.as_slice() {
            [first, others @ ..] if others.iter().all(|other| other == first) => {
                u64::try_from(*first).map(Some).map_err(|_| misfit(key, "whole numbers, 0 or more"))
            }
            _ => {
                let mut found = each.clone();
                found.dedup();
                let shown: Vec<String> = found.iter().take(4).map(i64::to_string).collect();
                let more = if found.len() > 4 { ", ..." } else { "" };
                let what = format!("{} that differs between layers", quote(key));
                Err(not_supported(&what, "one number", format!("{}{more}", shown.join(", "))))
            }
        }
    }

    /// All keys with their values, in order.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    /// Returns the alignment of tensors, in bytes. `usual` is the default.
    ///
    /// # Errors
    /// `invalid_field` unless it is a power of two from 8, as the format has it, up to 65536.
    pub fn alignment(&self, usual: u64) -> Result<u64> {
        let key = "general.alignment";
        match self.whole(key)? {
            None => Ok(usual),
            Some(number) if (8..=65536).contains(&number) && number.is_power_of_two() => Ok(number),
            Some(number) => Err(misfit_found(key, "a power of two from 8 to 65536", number)),
        }
    }
}
