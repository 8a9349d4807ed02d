//! Reads the values of GGUF's metadata: scalars, texts and arrays.

use std::fmt;

use crate::loader::error::{LoadError, Result, quote};
use crate::loader::format::front::Front;
use crate::loader::remedies::header::INVALID_FIELD;

/// Longest text, in bytes: enough for a chat template or a whole `tokenizer.json`.
const LONGEST_TEXT: u64 = 32 << 20;

/// Most elements of an array: twice the largest list of merges in use.
const MOST_ELEMENTS: u64 = 1 << 20;

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

/// The error for a key whose value is of another kind.
pub(super) fn misfit(key: &str, wanted: &str) -> LoadError {
    misfit_found(key, wanted, "another value or type")
}

/// The same with what was found.
pub(super) fn misfit_found(key: &str, wanted: &str, found: impl ToString) -> LoadError {
    LoadError::header(INVALID_FIELD, format!("{} has a wrong value", quote(key)))
        .expected(wanted, found)
}

/// Reads a value of this type.
pub(super) fn value(front: &mut Front<'_>, kind: u32, key: &str) -> Result<Value> {
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
