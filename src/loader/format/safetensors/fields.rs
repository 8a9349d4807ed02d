//! Reads a [`Header`] from JSON text: exactly the format's fields, each of its exact type.

use std::collections::BTreeMap;

use crate::contract::DType;

use super::header::{Header, TensorInfo, refused};
use super::json::{Cursor, JsonError, Kind};
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::remedies::Cause;
use crate::loader::remedies::header::{
    DTYPE_NOT_KNOWN, INVALID_FIELD, INVALID_METADATA, MISSING_FIELD, UNKNOWN_FIELD,
};

/// The only top-level key that is not a tensor.
const METADATA: &str = "__metadata__";

impl From<JsonError> for LoadError {
    fn from(error: JsonError) -> Self {
        refused(error)
    }
}

/// Reads the object at the start of `text`. Returns also its length, in bytes.
///
/// # Errors
/// `unknown_field`, `missing_field`, `invalid_field`, `unknown_dtype`, `invalid_metadata`; those of
/// the grammar, if no other one came before.
pub fn read(text: &str) -> Result<(Header, usize)> {
    let mut header = Header::default();
    let mut cursor = Cursor::new(text);
    cursor.object(|cursor, key| {
        if key == METADATA {
            header.metadata = Some(metadata(cursor)?);
        } else {
            header.tensors.push(tensor(cursor, key.into_owned())?);
        }
        Ok::<(), LoadError>(())
    })?;
    Ok((header, cursor.at()))
}

fn metadata(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, String>> {
    let wrong = |kind: Kind, whose: &str| {
        LoadError::header(INVALID_METADATA, format!("{METADATA} is no map of text to text{whose}"))
            .expected("text values in an object", kind_name(kind))
    };
    match cursor.kind() {
        Kind::Object => {}
        other => return Err(wrong(other, "")),
    }
    let mut map = BTreeMap::new();
    cursor.object(|cursor, key| {
        match cursor.kind() {
            Kind::Text => {}
            other => return Err(wrong(other, &format!(": at key {}", quote(&key)))),
        }
        map.insert(key.into_owned(), cursor.string()?.into_owned());
        Ok::<(), LoadError>(())
    })?;
    Ok(map)
}

fn tensor(cursor: &mut Cursor<'_>, name: String) -> Result<TensorInfo> {
    let (mut dtype, mut shape, mut offsets) = (None, None, None);
    let field = |field: &str, cause: Cause, message: &str| {
        LoadError::header(cause, format!("tensor {}: {message}: {field}", quote(&name)))
            .tensor(name.as_str())
    };
    match cursor.kind() {
        Kind::Object => {}
        other => {
            return Err(field("the whole entry", INVALID_FIELD.into(), "field of the wrong type")
                .expected("an object", kind_name(other)));
        }
    }
    cursor.object(|cursor, key| {
        let wrong = |expected: &str, actual: &str| {
            field(&key, INVALID_FIELD.into(), "field of the wrong type").expected(expected, actual)
        };
        match &*key {
            "dtype" => {
                let kind = cursor.kind();
                if kind != Kind::Text {
                    return Err(wrong("text", kind_name(kind)));
                }
                let text = cursor.string()?;
                dtype = Some(DType::from_name(&text).ok_or_else(|| {
                    let cause = DTYPE_NOT_KNOWN.about([&quote(&text)]);
                    field(&quote(&text), cause, "dtype that the format does not have")
                        .expected(known_dtypes(), quote(&text))
                })?);
            }
            "shape" => shape = Some(unsigned_array(cursor, &wrong)?),
            "data_offsets" => {
                let numbers = unsigned_array(cursor, &wrong)?;
                let pair = <[u64; 2]>::try_from(numbers).map_err(|numbers| {
                    wrong("two unsigned integers", &format!("{} numbers", numbers.len()))
                })?;
                offsets = Some(pair);
            }
            other => {
                return Err(field(
                    &quote(other),
                    UNKNOWN_FIELD.into(),
                    "field that the format does not have",
                )
                .expected("dtype, shape, data_offsets", quote(other)));
            }
        }
        Ok::<(), LoadError>(())
    })?;
    let missing = |which: &str| {
        field(which, MISSING_FIELD.into(), "field missing")
            .expected("dtype, shape, data_offsets", format!("no {which}"))
    };
    let dtype = dtype.ok_or_else(|| missing("dtype"))?;
    let shape = shape.ok_or_else(|| missing("shape"))?;
    let [begin, end] = offsets.ok_or_else(|| missing("data_offsets"))?;
    Ok(TensorInfo { name, dtype, shape, begin, end })
}

/// Reads an array of numbers written as plain digits and below 2^64.
fn unsigned_array(
    cursor: &mut Cursor<'_>,
    wrong: &impl Fn(&str, &str) -> LoadError,
) -> Result<Vec<u64>> {
    let kind = cursor.kind();
    if kind != Kind::Array {
        return Err(wrong("an array of unsigned integers", kind_name(kind)));
    }
    let mut numbers = Vec::new();
    cursor.array(|cursor| {
        let kind = cursor.kind();
        if kind != Kind::Number {
            return Err(wrong("unsigned integers", kind_name(kind)));
        }
        let digits = cursor.number()?;
        // By the grammar, the only other bytes here are signs, points and exponents. `parse`
        // refuses them. It would accept a leading `+`, but the grammar does not allow one.
        numbers.push(
            digits.parse().map_err(|_| wrong("unsigned integers below 2^64", &quote(digits)))?,
        );
        Ok::<(), LoadError>(())
    })?;
    Ok(numbers)
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Object => "an object",
        Kind::Array => "an array",
        Kind::Text => "text",
        Kind::Number => "a number",
        Kind::Word => "true, false or null",
    }
}

fn known_dtypes() -> String {
    DType::ALL.map(DType::name).join(", ")
}
