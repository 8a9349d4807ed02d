//! Why a command that reads or writes reports could not finish, and what it exits with.

use std::io::{self, Write};
use std::path::PathBuf;

use super::exit;
use crate::harness::record::{MergeError, Mismatch, ReadError, WriteError};
use crate::harness::report::ReportError;

/// Why a report command could not finish.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A report could not be made.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The records do not go together.
    #[error("cannot merge: {0}")]
    Merge(#[from] MergeError),
    /// A file to be merged does not agree with itself.
    #[error(
        "{path} does not agree with itself (`weighbridge verify` lists every difference): {first}"
    )]
    Disagrees {
        /// Which file.
        path: PathBuf,
        /// The first thing that does not agree.
        first: Mismatch,
    },
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl Fault {
    /// What the program exits with.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Fault::Read(_) | Fault::Merge(_) | Fault::Disagrees { .. } => exit::USAGE,
            Fault::Write(_) | Fault::Report(_) | Fault::Output(_) => exit::HARNESS_ERROR,
        }
    }
}

/// Writes text out. It is not an error if the reader stops early, as `head` does.
pub(super) fn print(out: &mut dyn Write, text: &str) -> Result<(), Fault> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Fault::Output(error)),
        _ => Ok(()),
    }
}
