//! Reads and checks safetensors headers, strictly by the format's rules.
//!
//! The rules are those of the format's specification. The reference implementation accepts more
//! (leading white space, duplicate keys, unknown fields, arrays in place of objects). Checks run in
//! this order, and the first that fails decides:
//!
//! 1. foreign content ([`foreign`]), if the file cannot begin with a header length;
//! 2. the length prefix ([`text_length`]): at least eight bytes, within the bound, within the file;
//! 3. the text ([`parse`]): UTF-8, begins with `{`, one strict JSON value without duplicate keys
//!    ([`json`]), then nothing but spaces;
//! 4. the fields ([`fields`]): exactly those of the format, each of its exact type;
//! 5. the layout ([`layout`]): sizes agree with offsets, offsets cover the data without hole,
//!    overlap or remainder.
//!
//! Allowed and accepted: tensors without elements between others or at either end, rank 0, rank 100,
//! headers whose length is no multiple of eight, data at odd offsets, any name, no tensor at all.

use sha2::{Digest, Sha256};

use crate::loader::error::{LoadError, Result};
use crate::loader::host_memory::host_bytes;
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::header::{
    HEADER_CUT, HEADER_LENGTH, HEADER_NOT_JSON, HEADER_NOT_UTF8, HEADER_PADDING, TOO_SHORT,
};

pub mod fields;
pub mod foreign;
mod header;
pub mod json;
pub mod layout;

use self::header::refused;

pub use self::header::{Header, MAX_HEADER, PREFIX, TensorInfo};

/// Reads the length prefix of a file of `file_bytes` bytes, and returns the header's length. `head`
/// holds the first nine bytes or more, or the whole file if it is shorter.
///
/// # Errors
/// Foreign content by name, `too_short`, `header_too_large`, `header_truncated`.
pub fn text_length(head: &[u8], file_bytes: u64) -> Result<u64> {
    foreign::check(head)?;
    let Some(prefix) = head.first_chunk::<8>() else {
        return Err(LoadError::header(TOO_SHORT, "file shorter than its length prefix")
            .expected(format!("at least {PREFIX} bytes"), format!("{file_bytes} bytes")));
    };
    let length = u64::from_le_bytes(*prefix);
    if length > MAX_HEADER {
        return Err(LoadError::header(
            HEADER_LENGTH,
            format!("header length implausible: {length} (is this a safetensors file?)"),
        )
        .expected(format!("at most {MAX_HEADER} bytes"), format!("{length} bytes")));
    }
    let there = file_bytes.saturating_sub(PREFIX);
    if length > there {
        return Err(LoadError::header(HEADER_CUT, "file ends inside its header")
            .expected(format!("{length} bytes of header"), format!("{there} bytes")));
    }
    Ok(length)
}

/// Reads everything before the data. Returns the header's text, and updates `hasher` with all of
/// it.
///
/// # Errors
/// Those of reading and of [`text_length`].
pub fn read_text(source: &mut OpenFile, hasher: &mut Sha256) -> Result<Vec<u8>> {
    let length = text_length(source.head(), source.bytes())?;
    let mut text = host_bytes(length)?;
    let mut prefix = [0; PREFIX as usize];
    source.read(&mut prefix)?;
    source.read(&mut text)?;
    hasher.update(prefix);
    hasher.update(&text);
    Ok(text)
}

/// Parses the header's text. Does not compare it with the data.
///
/// # Errors
/// Every code of the `invalid_header` family that concerns text or fields.
pub fn parse(text: &[u8]) -> Result<Header> {
    let text = std::str::from_utf8(text).map_err(|error| {
        LoadError::header(HEADER_NOT_UTF8, "header is not UTF-8").expected(
            "UTF-8 throughout",
            format!("an invalid sequence at byte {}", error.valid_up_to()),
        )
    })?;
    match text.chars().next() {
        Some('{') => {}
        None => {
            return Err(LoadError::header(HEADER_NOT_JSON, "header is empty")
                .expected("a JSON object", "nothing"));
        }
        Some(other) => {
            return Err(LoadError::header(HEADER_PADDING, "header does not begin with `{`")
                .expected("`{`", character(other)));
        }
    }
    let read = fields::read(text);
    // A broken grammar counts before a wrong field, wherever the two are.
    let end = match &read {
        Ok((_, end)) => *end,
        Err(_) => json::check(text).map_err(refused)?,
    };
    let padding = text[end..].trim_start_matches(' ');
    if let Some(first) = padding.chars().next() {
        let blank = padding.chars().all(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\0'));
        let (cause, message) = if blank {
            (HEADER_PADDING, "header padded with something else than spaces")
        } else {
            (HEADER_NOT_JSON, "text after the header's JSON object")
        };
        return Err(LoadError::header(cause, message).expected("only spaces", character(first)));
    }
    read.map(|(header, _)| header)
}

/// Describes a character for a message.
fn character(shown: char) -> String {
    match shown {
        ' ' => "a space".to_owned(),
        '\t' => "a tab".to_owned(),
        '\n' | '\r' => "a line break".to_owned(),
        '\0' => "a zero byte".to_owned(),
        other => format!("`{}`", other.escape_debug()),
    }
}

#[cfg(test)]
mod tests;
