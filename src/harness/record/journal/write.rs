//! Writes a journal line by line.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::chain::Chain;
use super::line::{Finished, Footer, Header, Line};
use super::recover::{is_journal, recover};
use super::sync::Syncer;
use crate::harness::hex::hex;
use crate::harness::record::seed::sealed;
use crate::harness::record::whole::WriteError;
use crate::harness::record::{CaseRecord, Part, Verdict};

/// A journal that is being written. Its file is locked as long as it is.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Total length of the complete lines in the file, in bytes.
    length: u64,
    /// Complete lines that could not be written yet, because the disk was full, for example.
    waiting: VecDeque<Vec<u8>>,
    hash: Sha256,
    /// The chain of the lines, those that wait included.
    pub(super) chain: Chain,
    started: Instant,
    /// What no line may hold as long as loaders run.
    pub(super) secrets: Vec<String>,
    /// Index of the run that is going on.
    pub(super) part: usize,
    cases: u64,
    by_verdict: BTreeMap<Verdict, u64>,
    syncer: Syncer,
}

impl Journal {
    /// Begins a journal. An interrupted journal at the path is renamed; a complete one is replaced.
    ///
    /// # Errors
    ///
    /// [`WriteError::File`]; of kind `ResourceBusy` if another live run writes to this path.
    pub fn begin(path: &Path, header: &Header) -> Result<Journal, WriteError> {
        let fault = |source| unwritten(path, source);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(fault)?;
        }
        let file = Journal::claim(path)?;
        if file.metadata().is_ok_and(|data| data.is_file()) {
            file.set_len(0).map_err(fault)?;
            private(&file).map_err(fault)?;
        }
        let mut journal = Journal::over(path, file, b"").map_err(fault)?;
        journal.secrets = header.part.secrets();
        journal.line(&Line::Header(Box::new(header.clone())))?;
        // A device has nothing to synchronise, and says so.
        if journal.file.metadata().is_ok_and(|data| data.is_file()) {
            journal.file.sync_data().map_err(fault)?;
        }
        Ok(journal)
    }

    /// The file at a path, locked for this process. An interrupted journal that was there is renamed.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    pub(super) fn claim(path: &Path) -> Result<File, WriteError> {
        let fault = |source| unwritten(path, source);
        loop {
            let mut options = OpenOptions::new();
            let file = options.append(true).create(true).open(path).map_err(fault)?;
            if !lock(&file).map_err(fault)? {
                return Err(fault(io::Error::new(io::ErrorKind::ResourceBusy, busy())));
            }
            // Between opening and locking, another run may have renamed the file.
            let identity = |data: fs::Metadata| (data.dev(), data.ino());
            let opened = file.metadata().map(identity).map_err(fault)?;
            if fs::metadata(path).map(identity).ok() == Some(opened)
                && !set_aside(path).map_err(fault)?
            {
                return Ok(file);
            }
        }
    }

    /// A journal over a file that holds these complete lines.
    pub(super) fn over(path: &Path, file: File, bytes: &[u8]) -> io::Result<Journal> {
        Ok(Journal {
            path: path.to_owned(),
            syncer: Syncer::start(&file)?,
            file,
            length: bytes.len() as u64,
            waiting: VecDeque::new(),
            hash: Sha256::new_with_prefix(bytes),
            chain: Chain::default(),
            started: Instant::now(),
            secrets: Vec::new(),
            part: 0,
            cases: 0,
            by_verdict: BTreeMap::new(),
        })
    }

    /// Writes a finished case. The caller does this before it begins the next case.
    ///
    /// If it cannot be written, it is kept, and written before the next one.
    ///
    /// # Errors
    ///
    /// [`WriteError::File`].
    pub fn case(&mut self, case: &CaseRecord) -> Result<(), WriteError> {
        let at_seconds = self.started.elapsed().as_secs_f64();
        let case = CaseRecord { part: self.part, ..case.clone() };
        self.count(case.verdict);
        self.line(&Line::Case(Box::new(Finished { at_seconds, case })))
    }

    /// Writes how the part stands, in a run that ends before its last case, and tells its seed. The part then
    /// names the chain's head.
    ///
    /// # Errors
    ///
    /// [`WriteError::File`].
    pub fn leave(mut self, part: &mut Part) -> Result<(), WriteError> {
        self.secrets.clear();
        part.journal = Some(self.chain.clone());
        self.line(&Line::Part(Box::new(part.clone())))?;
        public(&self.file);
        self.file.sync_all().map_err(|source| unwritten(&self.path, source))
    }

    /// Completes the journal: writes `part` as it is known at the end of the run, with its seed, and the footer.
    /// The part then names the chain's head.
    ///
    /// # Errors
    ///
    /// [`WriteError::File`].
    pub fn finish(&mut self, part: &mut Part) -> Result<(), WriteError> {
        self.secrets.clear();
        part.journal = Some(self.chain.clone());
        self.line(&Line::Part(Box::new(part.clone())))?;
        let sha256 = hex(&self.hash.clone().finalize());
        let by_verdict = std::mem::take(&mut self.by_verdict);
        self.line(&Line::Footer(Footer { cases: self.cases, by_verdict, sha256 }))?;
        public(&self.file);
        self.file.sync_all().map_err(|source| unwritten(&self.path, source))
    }

    /// Number of decided cases that are not in the file, because their lines could not be written.
    pub fn lacking(&self) -> u64 {
        let is_case = |line: &&Vec<u8>| line.starts_with(b"{\"case\":");
        self.waiting.iter().filter(is_case).count() as u64
    }

    /// Path of the journal.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Counts a case for the footer.
    pub(super) fn count(&mut self, verdict: Verdict) {
        self.cases += 1;
        *self.by_verdict.entry(verdict).or_default() += 1;
    }

    pub(super) fn line(&mut self, line: &Line) -> Result<(), WriteError> {
        let text = serde_json::to_string(line).map_err(WriteError::Json)?;
        let bytes = self.chain.add(&sealed(text, &self.secrets));
        self.waiting.push_back(bytes);
        while let Some(bytes) = self.waiting.front() {
            append(&mut self.file, self.length, bytes, &mut |file, bytes| file.write_all(bytes))
                .map_err(|source| unwritten(&self.path, source))?;
            self.length += bytes.len() as u64;
            self.hash.update(bytes);
            self.waiting.pop_front();
        }
        self.syncer.written().map_err(|source| unwritten(&self.path, source))
    }
}

/// Lets only this user read a journal as long as its run goes on: it tells the cases, and a loader may be another
/// user.
pub(super) fn private(file: &File) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

/// Lets others read a journal whose run has ended, as far as the user's umask allows. If that fails, it stays
/// the user's own.
fn public(file: &File) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let umask = umask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok());
    if let Some(umask) = umask.filter(|_| file.metadata().is_ok_and(|data| data.is_file())) {
        let _kept = file.set_permissions(fs::Permissions::from_mode(0o666 & !umask));
    }
}

/// Locks a journal's file for this process. `false` if another process holds it. A device, and a file
/// system without locks, locks nothing.
pub(super) fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(true),
    }
}

/// What to do about a journal that a live run writes to.
pub(super) const fn busy() -> &'static str {
    "another run is writing to this file\n  remedy: wait until it has ended, or name another place \
     with --out"
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

/// Renames an interrupted journal, because it may be the only record of a run. Returns whether there
/// was one.
fn set_aside(path: &Path) -> io::Result<bool> {
    if path.exists() && !path.is_file() {
        return Ok(false);
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if !is_journal(&bytes) || recover(&bytes).is_ok_and(|recovered| !recovered.interrupted) {
        return Ok(false);
    }
    for number in 1_u32.. {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".interrupted-{number}"));
        if !Path::new(&name).exists() {
            return fs::rename(path, name).map(|()| true);
        }
    }
    Ok(false)
}

fn unwritten(path: &Path, source: io::Error) -> WriteError {
    WriteError::File { path: path.to_owned(), copy: None, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    #[test]
    fn what_a_full_disk_held_up_is_written_with_the_next_case() -> Result<(), WriteError> {
        let record = sample::record();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.ndjson");
        let header = Header::new(
            record.subject.clone(),
            record.parts[0].clone(),
            record.requirements.clone(),
            Vec::new(),
        );
        let mut journal = Journal::begin(&path, &header)?;
        let others = || fs::metadata(&path).unwrap().permissions().mode() & 0o077;
        assert_eq!(others(), 0, "while the run goes on");
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut journal.file, full);
        assert!(journal.case(&record.cases[0]).is_err());
        assert!(journal.finish(&mut record.parts[0].clone()).is_err());
        assert_eq!(journal.lacking(), 1, "the part and the footer are no cases");
        journal.waiting.truncate(1);
        // As it was behind the case that waits.
        journal.chain = Chain::default();
        let begun = fs::read(&path).unwrap();
        for line in [begun.as_slice(), journal.waiting[0].as_slice()] {
            journal.chain.follow(line).unwrap();
        }
        journal.file = file;
        journal.case(&record.cases[1])?;
        assert_eq!(journal.lacking(), 0);
        journal.finish(&mut record.parts[0].clone())?;
        // By the umask of whoever runs this test, others may read it now.
        fs::write(folder.path().join("other"), "x").unwrap();
        let other = fs::metadata(folder.path().join("other")).unwrap().permissions().mode();
        assert_eq!(others(), other & 0o077);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[1].contains(&record.cases[0].id) && lines[2].contains(&record.cases[1].id));
        let before = text.len() - lines[4].len() - 1;
        assert!(lines[4].contains(&hex(&Sha256::digest(&text[..before]))));
        Ok(())
    }
}
