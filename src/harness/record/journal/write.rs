//! Writes a journal line by line.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::line::{Finished, Footer, Header, Line};
use super::recover::{is_journal, recover};
use crate::harness::hex::hex;
use crate::harness::record::whole::WriteError;
use crate::harness::record::{CaseRecord, Part, Verdict};

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Total length of the complete lines in the file, in bytes.
    length: u64,
    hash: Sha256,
    started: Instant,
    cases: u64,
    by_verdict: BTreeMap<Verdict, u64>,
}

impl Journal {
    /// Begins a journal. An interrupted journal at the path is renamed; a complete one is replaced.
    ///
    /// # Errors
    ///
    /// [`WriteError::File`].
    pub fn begin(path: &Path, header: &Header) -> Result<Journal, WriteError> {
        let fault = |source| unwritten(path, source);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(fault)?;
        }
        set_aside(path).map_err(fault)?;
        let mut journal = Journal {
            path: path.to_owned(),
            file: File::create(path).map_err(fault)?,
            length: 0,
            hash: Sha256::new(),
            started: Instant::now(),
            cases: 0,
            by_verdict: BTreeMap::new(),
        };
        journal.line(&Line::Header(Box::new(header.clone())))?;
        journal.file.sync_data().map_err(fault)?;
        Ok(journal)
    }

    /// Writes a finished case. The caller does this before it begins the next case.
    ///
    /// # Errors
    ///
    /// [`WriteError::File`].
    pub fn case(&mut self, case: &CaseRecord) -> Result<(), WriteError> {
        let at_seconds = self.started.elapsed().as_secs_f64();
        self.line(&Line::Case(Box::new(Finished { at_seconds, case: case.clone() })))?;
        self.cases += 1;
        *self.by_verdict.entry(case.verdict).or_default() += 1;
        Ok(())
    }

    /// Completes the journal: writes `part` as it is known at the end of the run, and the footer.
    ///
    /// # Errors
    ///
    /// [`WriteError::File`].
    pub fn finish(mut self, part: &Part) -> Result<(), WriteError> {
        self.line(&Line::Part(Box::new(part.clone())))?;
        let sha256 = hex(&self.hash.clone().finalize());
        let by_verdict = std::mem::take(&mut self.by_verdict);
        self.line(&Line::Footer(Footer { cases: self.cases, by_verdict, sha256 }))?;
        self.file.sync_all().map_err(|source| unwritten(&self.path, source))
    }

    /// Path of the journal.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn line(&mut self, line: &Line) -> Result<(), WriteError> {
        let mut bytes = serde_json::to_vec(line).map_err(WriteError::Json)?;
        bytes.push(b'\n');
        append(&mut self.file, self.length, &bytes, &mut |file, bytes| file.write_all(bytes))
            .map_err(|source| unwritten(&self.path, source))?;
        self.length += bytes.len() as u64;
        self.hash.update(&bytes);
        Ok(())
    }
}

/// Appends a line at `length` without buffering, so that a killed harness leaves complete lines and
/// at most one incomplete line at the end. If the write fails, for example because the disk is
/// full, the file is cut back to `length`, so that a later line does not follow half a line.
pub(super) fn append(
    file: &mut File,
    length: u64,
    bytes: &[u8],
    put: &mut dyn FnMut(&mut File, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    put(file, bytes).inspect_err(|_| {
        // The first error is reported, not this one: a device, for example, cannot be truncated.
        let _ = file.set_len(length).and_then(|()| file.seek(SeekFrom::Start(length)));
    })
}

/// Renames an interrupted journal, because it may be the only record of a run.
fn set_aside(path: &Path) -> io::Result<()> {
    if path.exists() && !path.is_file() {
        return Ok(());
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !is_journal(&bytes) || recover(&bytes).is_ok_and(|recovered| !recovered.interrupted) {
        return Ok(());
    }
    for number in 1_u32.. {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".interrupted-{number}"));
        if !Path::new(&name).exists() {
            return fs::rename(path, name);
        }
    }
    Ok(())
}

fn unwritten(path: &Path, source: io::Error) -> WriteError {
    WriteError::File { path: path.to_owned(), copy: None, source }
}
