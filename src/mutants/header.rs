//! Mutants that accept files which break the format's rules.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::contract::{Code, DType};
use crate::loader::LoadDecisions;
use crate::loader::error::Result;
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::{Header, TensorInfo};

/// Accepts a truncated file.
pub struct Truncated;

impl LoadDecisions for Truncated {
    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        forgive(safetensors::layout::check(header, data_bytes), &[Code::Truncated])
    }
}

/// Accepts overlaps, gaps and trailing bytes. Of two tensors with one name, the last one wins.
pub struct Overlapping;

impl LoadDecisions for Overlapping {
    fn header(&self, text: &[u8]) -> Result<Header> {
        safetensors::parse(text).or_else(|error| match last_wins(text) {
            Some(header) if error.code() == Code::DuplicateKey => Ok(header),
            _ => Err(error),
        })
    }

    fn layout(&self, header: &Header, data_bytes: u64) -> Result<()> {
        let forgiven = [Code::Overlap, Code::Gap, Code::TrailingBytes];
        forgive(safetensors::layout::check(header, data_bytes), &forgiven)
    }
}

fn forgive(checked: Result<()>, codes: &[Code]) -> Result<()> {
    checked.or_else(|error| if codes.contains(&error.code()) { Ok(()) } else { Err(error) })
}

/// Parses a header with a plain JSON parser, which keeps the last of duplicate keys.
fn last_wins(text: &[u8]) -> Option<Header> {
    #[derive(Deserialize)]
    struct Entry {
        dtype: String,
        shape: Vec<u64>,
        data_offsets: (u64, u64),
    }
    let mut all: BTreeMap<String, serde_json::Value> = serde_json::from_slice(text).ok()?;
    let metadata = all.remove("__metadata__").and_then(|value| serde_json::from_value(value).ok());
    let tensors = all
        .into_iter()
        .map(|(name, value)| {
            let entry: Entry = serde_json::from_value(value).ok()?;
            Some(TensorInfo {
                name,
                dtype: DType::from_name(&entry.dtype)?,
                shape: entry.shape,
                begin: entry.data_offsets.0,
                end: entry.data_offsets.1,
            })
        })
        .collect::<Option<_>>()?;
    Some(Header { metadata, tensors })
}
