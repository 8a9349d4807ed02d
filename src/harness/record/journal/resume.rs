//! Goes on with the journal of a run that was interrupted.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::chain::Chain;
use super::line::{FORMAT, Header, Line};
use super::recover::{Damage, Reading, is_journal, no_header, read};
use super::write::{Journal, busy, lock, private};
use crate::harness::record::whole::{WriteError, write_whole};
use crate::harness::record::{CaseRecord, Part};

/// The journal of a run that was interrupted, locked for the run that goes on.
#[derive(Debug)]
pub struct Interrupted {
    /// What the run knew when it began.
    pub header: Header,
    /// The runs so far. The first one began the journal, and each other one went on with it.
    pub parts: Vec<Part>,
    /// What they decided.
    pub cases: Vec<CaseRecord>,
    path: PathBuf,
    file: File,
    bytes: Vec<u8>,
    chain: Chain,
}

/// Why a journal cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is no journal of a run\n  remedy: name the file that ends in journal.ndjson", .0.display())]
    NoJournal(PathBuf),
    /// The file is a damaged journal.
    #[error("{} is a damaged journal: {source}\n  remedy: begin a new run", path.display())]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// How it is damaged.
        source: Damage,
    },
    /// An earlier version wrote it, and its lines have no chain to go on with.
    #[error(
        "{} has the format {format}, and only {FORMAT} can be gone on with\n  remedy: begin a new run",
        path.display()
    )]
    Earlier {
        /// Path of the file.
        path: PathBuf,
        /// Its format.
        format: String,
    },
    /// Nothing is missing.
    #[error("{} is complete: its run was not interrupted\n  remedy: begin a new run", .0.display())]
    Complete(PathBuf),
    /// A live run writes to it.
    #[error("{}: {}", .0.display(), busy())]
    Busy(PathBuf),
}

impl Interrupted {
    /// Opens the journal of an interrupted run.
    ///
    /// # Errors
    /// [`ResumeError`].
    pub fn open(path: &Path) -> Result<Interrupted, ResumeError> {
        let unreadable = |source| ResumeError::Unreadable { path: path.to_owned(), source };
        // Checked before opening, because opening a pipe without a writer would block.
        if std::fs::metadata(path).is_ok_and(|data| !data.is_file()) {
            return Err(ResumeError::NoJournal(path.to_owned()));
        }
        let mut file = OpenOptions::new().read(true).append(true).open(path).map_err(unreadable)?;
        if !lock(&file).map_err(unreadable)? {
            return Err(ResumeError::Busy(path.to_owned()));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        if !is_journal(&bytes) {
            return Err(ResumeError::NoJournal(path.to_owned()));
        }
        let damaged = |source| ResumeError::Damaged { path: path.to_owned(), source };
        let reading = read(&bytes).map_err(damaged)?;
        let Reading { header, parts, cases, footer, length, chain, .. } = reading;
        if footer {
            return Err(ResumeError::Complete(path.to_owned()));
        }
        let header = header.ok_or_else(no_header).map_err(damaged)?;
        if header.format != FORMAT {
            return Err(ResumeError::Earlier { path: path.to_owned(), format: header.format });
        }
        bytes.truncate(length);
        Ok(Interrupted { header, parts, cases, path: path.to_owned(), file, bytes, chain })
    }

    /// Path of the journal.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Goes on with the journal as a further part, in the same file or in a copy at `path`.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    pub fn go_on(self, path: &Path, part: &Part) -> Result<Journal, WriteError> {
        let fault = |source| WriteError::File { path: path.to_owned(), copy: None, source };
        let same = std::fs::canonicalize(path).ok() == std::fs::canonicalize(&self.path).ok();
        let file = if same {
            // The last line may be incomplete.
            self.file.set_len(self.bytes.len() as u64).map_err(fault)?;
            self.file
        } else {
            drop(Journal::claim(path)?);
            write_whole(path, &self.bytes)?;
            let file = OpenOptions::new().read(true).append(true).open(path).map_err(fault)?;
            if !lock(&file).map_err(fault)? {
                return Err(fault(io::Error::new(io::ErrorKind::ResourceBusy, busy())));
            }
            file
        };
        private(&file).map_err(fault)?;
        let mut journal = Journal::over(path, file, &self.bytes).map_err(fault)?;
        journal.part = self.parts.len();
        journal.chain = self.chain;
        journal.secrets = part.secrets();
        for case in &self.cases {
            journal.count(case.verdict);
        }
        journal.line(&Line::Resumed(Box::new(part.clone())))?;
        Ok(journal)
    }
}
