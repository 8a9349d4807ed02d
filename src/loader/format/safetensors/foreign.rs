//! Recognises content that is often found in place of a safetensors file, and names it in the
//! error.
//!
//! Without this check, the error would be an absurd header length. Files are not checked if their
//! first eight bytes are an allowed length and the ninth byte is printable or white space. The
//! reason: a header of 640 bytes begins with the same two bytes as a pickle.

use super::header::MAX_HEADER;
use crate::loader::error::{LoadError, Result};
use crate::loader::remedies::Remedy;
use crate::loader::remedies::formats::{
    GIT_LFS_POINTER, IS_GGUF, PYTHON_PICKLE, PYTORCH_ARCHIVE, WEB_PAGE, XML_DOCUMENT,
};

/// Refuses known foreign content by name.
///
/// `head` holds the first bytes of the file; 512 bytes are enough.
///
/// # Errors
/// `git_lfs_pointer`, `html_page`, `pickle`, `gguf`, or `foreign_format` for XML.
pub fn check(head: &[u8]) -> Result<()> {
    if plausible(head) {
        return Ok(());
    }
    let Some((cause, what)) = recognise(head) else { return Ok(()) };
    Err(LoadError::header(cause, format!("not a safetensors file: {what}"))
        .expected("a safetensors file", what))
}

fn plausible(head: &[u8]) -> bool {
    let length = head.first_chunk::<8>().map(|prefix| u64::from_le_bytes(*prefix));
    let ninth = head.get(8).copied();
    length.is_some_and(|length| length <= MAX_HEADER)
        && ninth.is_none_or(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
}

fn recognise(head: &[u8]) -> Option<(Remedy, &'static str)> {
    if head.starts_with(b"version https://git-lfs") {
        return Some((GIT_LFS_POINTER, "a git-lfs pointer"));
    }
    if head.starts_with(b"GGUF") {
        return Some((IS_GGUF, "a GGUF file"));
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some((PYTORCH_ARCHIVE, "a zip archive, as PyTorch checkpoints are"));
    }
    if matches!(head, [0x80, 2..=5, ..]) {
        return Some((PYTHON_PICKLE, "a Python pickle"));
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |tag: &str| {
        text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    };
    if ["<!doctype html", "<html", "<head", "<body", "<!--"].into_iter().any(begins) {
        return Some((WEB_PAGE, "a web page"));
    }
    begins("<?xml").then_some((XML_DOCUMENT, "an XML document"))
}
