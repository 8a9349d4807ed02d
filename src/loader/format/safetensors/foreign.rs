//! Names content that is often found where a safetensors file was meant to be.
//!
//! All of it would otherwise surface as an absurd header length. Nothing here runs on a file whose
//! first eight bytes are a length within the bound and whose ninth byte is printable or white
//! space: a header of 640 bytes begins with the same two bytes as a pickle.

use crate::contract::Code;

use super::header::{MAX_HEADER, broken};
use crate::loader::error::Result;

/// Refuses known foreign content by name.
///
/// `head` is how the file begins; 512 bytes are enough.
///
/// # Errors
/// `git_lfs_pointer`, `html_page`, `pickle`, `gguf`, or `foreign_format` for XML.
pub fn check(head: &[u8]) -> Result<()> {
    if plausible(head) {
        return Ok(());
    }
    let Some((code, what, remedy)) = recognise(head) else { return Ok(()) };
    Err(broken(code, format!("not a safetensors file: {what}"))
        .expected("a safetensors file", what)
        .remedy(remedy))
}

fn plausible(head: &[u8]) -> bool {
    let length = head.first_chunk::<8>().map(|prefix| u64::from_le_bytes(*prefix));
    let ninth = head.get(8).copied();
    length.is_some_and(|length| length <= MAX_HEADER)
        && ninth.is_none_or(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
}

fn recognise(head: &[u8]) -> Option<(Code, &'static str, &'static str)> {
    if head.starts_with(b"version https://git-lfs") {
        let remedy = "fetch the real file: git lfs pull";
        return Some((Code::GitLfsPointer, "a git-lfs pointer", remedy));
    }
    if head.starts_with(b"GGUF") {
        return Some((Code::Gguf, "a GGUF file", "use the safetensors release of the model"));
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        let remedy = "convert the checkpoint to safetensors on a machine you can lose";
        return Some((Code::Pickle, "a zip archive, as PyTorch checkpoints are", remedy));
    }
    if matches!(head, [0x80, 2..=5, ..]) {
        let remedy = "convert the checkpoint to safetensors on a machine you can lose";
        return Some((Code::Pickle, "a Python pickle", remedy));
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |tag: &str| {
        text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    };
    if ["<!doctype html", "<html", "<head", "<body", "<!--"].into_iter().any(begins) {
        let remedy = "download again with a direct link and valid credentials";
        return Some((Code::HtmlPage, "a web page", remedy));
    }
    if begins("<?xml") {
        let remedy = "download again with a direct link and valid credentials";
        return Some((Code::ForeignFormat, "an XML document", remedy));
    }
    None
}
