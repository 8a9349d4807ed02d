//! Why a command that reads or writes reports could not finish, and what it exits with.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::exit;
use crate::harness::attest::check;
use crate::harness::attest::key::KeyError;
use crate::harness::record::{MergeError, Mismatch, ReadError, WriteError};
use crate::harness::report::ReportError;
use crate::harness::submission::Refusal;

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
    /// A file to be merged or signed does not agree with itself.
    #[error(
        "{path} does not agree with itself (`weighbridge verify` lists every difference): {first}"
    )]
    Disagrees {
        /// Which file.
        path: PathBuf,
        /// The first thing that does not agree.
        first: Mismatch,
    },
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A record or a journal, and no report.
    #[error(
        "{0} is no report.json\n  remedy: make one with `weighbridge report --from {0} --format json`"
    )]
    NoReport(PathBuf),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Attestations cannot be made, or do not fit the report.
    #[error("attestation: {0}")]
    Attestation(#[from] check::Fault),
    /// Something is no submission, or cannot become one.
    #[error("{0}")]
    Submission(#[from] Refusal),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl Fault {
    /// What the program exits with.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Fault::Read(_)
            | Fault::Merge(_)
            | Fault::Disagrees { .. }
            | Fault::Unreadable { .. }
            | Fault::NoReport(_)
            | Fault::Key(_)
            | Fault::Attestation(_)
            | Fault::Submission(_) => exit::USAGE,
            Fault::Write(_) | Fault::Report(_) | Fault::Output(_) => exit::HARNESS_ERROR,
        }
    }
}

/// Reads a file.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|source| Fault::Unreadable { path: path.to_owned(), source })
}

/// Reads a file in UTF-8.
pub(super) fn text(path: &Path) -> Result<String, Fault> {
    let not_text = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    String::from_utf8(bytes(path)?)
        .map_err(|error| Fault::Unreadable { path: path.to_owned(), source: not_text(error) })
}

/// Writes text out. It is not an error if the reader stops early, as `head` does.
pub(super) fn print(out: &mut dyn Write, text: &str) -> Result<(), Fault> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Fault::Output(error)),
        _ => Ok(()),
    }
}
