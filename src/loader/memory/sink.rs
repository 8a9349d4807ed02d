//! The destination of one file's bytes while a model loads.

use std::ops::Range;

use crate::loader::error::{LoadError, Result};

/// Receives the bytes of one file, in pieces, while a model loads.
pub trait Sink {
    /// Writes bytes at `offset`, counted from the start of the file's part of the arena.
    ///
    /// # Errors
    /// `device_fault`; `internal` if the range is outside the file's part.
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Waits until every byte is written.
    ///
    /// # Errors
    /// `device_fault`.
    fn finish(&mut self) -> Result<()>;
}

/// The sinks of one file into the memory of each rank.
pub type RankSinks<'a> = Vec<Box<dyn Sink + Send + 'a>>;

/// Creates a sink into host memory for each part.
pub(super) fn host_sinks<'a>(
    mut rest: &'a mut [u8],
    parts: &[Range<u64>],
) -> Result<Vec<Box<dyn Sink + Send + 'a>>> {
    let mut at = 0;
    let mut sinks: Vec<Box<dyn Sink + Send + 'a>> = Vec::new();
    for part in parts {
        let outside = || LoadError::internal("a file's part lies outside the model");
        let gap = part.start.checked_sub(at).ok_or_else(outside)? as usize;
        let length = part.end.checked_sub(part.start).ok_or_else(outside)? as usize;
        let (_, after) = rest.split_at_mut_checked(gap).ok_or_else(outside)?;
        let (mine, after) = after.split_at_mut_checked(length).ok_or_else(outside)?;
        sinks.push(Box::new(HostSink { bytes: mine }));
        (rest, at) = (after, part.end);
    }
    Ok(sinks)
}

struct HostSink<'a> {
    bytes: &'a mut [u8],
}

impl Sink for HostSink<'_> {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let from = usize::try_from(offset).ok();
        let range = from.and_then(|from| self.bytes.get_mut(from..from.checked_add(bytes.len())?));
        range.ok_or_else(|| LoadError::internal("range outside a model"))?.copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
