//! Reads GGUF's metadata: typed values under unique keys.

use std::collections::BTreeMap;
use std::fmt;

use crate::loader::error::{LoadError, Result, quote};
use crate::loader::format::{damaged_setting, not_supported};
use crate::loader::remedies::header::{INVALID_FIELD, KEY_TWICE};

use super::Front;

/// Most keys, and longest key in bytes. Source of the second: the format's specification.
const MOST_KEYS: u64 = 1 << 16;
const LONGEST_KEY: u64 = (1 << 16) - 1;

/// Longest text, in bytes: enough for a chat template or a whole `tokenizer.json`.
const LONGEST_TEXT: u64 = 32 << 20;

/// Most elements of an array: several times the largest vocabularies in use.
const MOST_ELEMENTS: u64 = 1 << 22;

/// Size of a number in bytes, by the format's type id.
const WIDTHS: [(u32, u64); 11] =
    [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 1), (10, 8), (11, 8), (12, 8)];

/// A key's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number of any type.
    Whole(i128),
    /// A floating-point number of 32 or 64 bits.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// A text.
    Text(String),
    /// An array of texts.
    Texts(Vec<String>),
    /// An array of whole numbers.
    Wholes(Vec<i64>),
    /// An array of floating-point numbers of 32 bits.
    Numbers(Vec<f32>),
    /// Any other array. Its elements are not stored.
    Others,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Whole(number) => write!(f, "{number}"),
            Value::Number(number) => write!(f, "{number}"),
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Text(text) => f.write_str(&quote(text)),
            Value::Texts(texts) => write!(f, "{} texts", texts.len()),
            Value::Wholes(numbers) => write!(f, "{} whole numbers", numbers.len()),
            Value::Numbers(numbers) => write!(f, "{} numbers", numbers.len()),
            Value::Others => f.write_str("an array"),
        }
    }
}

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
    /// `invalid_field` unless it is a power of two up to 65536.
    pub fn alignment(&self, usual: u64) -> Result<u64> {
        let key = "general.alignment";
        match self.whole(key)? {
            None => Ok(usual),
            Some(number) if number <= 65536 && number.is_power_of_two() => Ok(number),
            Some(number) => Err(misfit_found(key, "a power of two from 1 to 65536", number)),
        }
    }
}

fn misfit(key: &str, wanted: &str) -> LoadError {
    misfit_found(key, wanted, "another value or type")
}

fn misfit_found(key: &str, wanted: &str, found: impl ToString) -> LoadError {
    LoadError::header(INVALID_FIELD, format!("{} has a wrong value", quote(key)))
        .expected(wanted, found)
}

fn value(front: &mut Front<'_>, kind: u32, key: &str) -> Result<Value> {
    match kind {
        8 => Ok(Value::Text(front.text(LONGEST_TEXT, "a text")?)),
        9 => array(front, key),
        _ => scalar(front, kind, key),
    }
}

fn scalar(front: &mut Front<'_>, kind: u32, key: &str) -> Result<Value> {
    Ok(match kind {
        0 => Value::Whole(u8::from_le_bytes(front.array()?).into()),
        1 => Value::Whole(i8::from_le_bytes(front.array()?).into()),
        2 => Value::Whole(u16::from_le_bytes(front.array()?).into()),
        3 => Value::Whole(i16::from_le_bytes(front.array()?).into()),
        4 => Value::Whole(front.u32()?.into()),
        5 => Value::Whole(i32::from_le_bytes(front.array()?).into()),
        6 => Value::Number(f32::from_le_bytes(front.array()?).into()),
        7 => match front.array()? {
            [0] => Value::Flag(false),
            [1] => Value::Flag(true),
            [_] => return Err(misfit(key, "0 or 1")),
        },
        10 => Value::Whole(front.u64()?.into()),
        11 => Value::Whole(i64::from_le_bytes(front.array()?).into()),
        12 => Value::Number(f64::from_le_bytes(front.array()?)),
        other => return Err(no_type(key, other)),
    })
}

/// Reads an array. Stores texts and numbers, and skips other elements.
fn array(front: &mut Front<'_>, key: &str) -> Result<Value> {
    let (kind, length) = (front.u32()?, front.u64()?);
    if kind == 8 {
        let length = front.count(length, 8, MOST_ELEMENTS, "texts")?;
        let mut texts = Vec::new();
        for _ in 0..length {
            texts.push(front.text(LONGEST_TEXT, "a text")?);
        }
        return Ok(Value::Texts(texts));
    }
    let width = WIDTHS.iter().find(|(known, _)| *known == kind).map(|(_, width)| *width);
    let width = width.ok_or_else(|| no_type(key, kind))?;
    let length = front.count(length, width, MOST_ELEMENTS, "elements of an array")?;
    let bytes = front.take(length * width)?;
    Ok(match kind {
        0 => Value::Wholes(bytes.iter().map(|byte| i64::from(*byte)).collect()),
        1 => Value::Wholes(bytes.iter().map(|byte| i64::from(byte.cast_signed())).collect()),
        2 => wholes(bytes, |number| u16::from_le_bytes(number).into()),
        3 => wholes(bytes, |number| i16::from_le_bytes(number).into()),
        4 => wholes(bytes, |number| u32::from_le_bytes(number).into()),
        5 => wholes(bytes, |number| i32::from_le_bytes(number).into()),
        // Beyond the largest signed number, a wrong value is as good as any: no key allows one.
        10 => wholes(bytes, |number| i64::try_from(u64::from_le_bytes(number)).unwrap_or(-1)),
        11 => wholes(bytes, i64::from_le_bytes),
        6 => {
            let (words, _) = bytes.as_chunks::<4>();
            Value::Numbers(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
        }
        _ => Value::Others,
    })
}

fn wholes<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> i64) -> Value {
    let (numbers, _) = bytes.as_chunks::<N>();
    Value::Wholes(numbers.iter().map(|bytes| number(*bytes)).collect())
}

fn no_type(key: &str, kind: u32) -> LoadError {
    LoadError::header(
        INVALID_FIELD,
        format!("{} has a type that the format does not have", quote(key)),
    )
    .expected("a type from 0 to 12; within an array none that is an array", kind)
}
