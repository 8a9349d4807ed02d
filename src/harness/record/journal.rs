//! The journal of a run: one JSON object a line, written while the run goes on, so that a run
//! that is killed still leaves a report.
//!
//! ```text
//! {"header":{"format":"weighbridge.journal/1","subject":{..},"part":{..},"requirements":[..],"scheduled":[..]}}
//! {"case":{"at_seconds":1.5,"case":{..}}}              one for each finished case, flushed at once
//! {"part":{..}}                                        the part again, with what is known at its end
//! {"footer":{"cases":1,"by_verdict":{"pass":1},"sha256":".."}}       over all bytes before it
//! ```
//!
//! A journal without its footer was interrupted: its record holds the cases that finished, and
//! the others as untested. A journal *with* a footer that does not fit is damaged, and refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::store::StoreError;
use super::{CaseRecord, Part, Record, RequirementRow, Subject, Verdict};

/// The journal's format; a reader refuses others.
pub const FORMAT: &str = "weighbridge.journal/1";

/// The reason that a case of an interrupted run is given.
pub const INTERRUPTED: &str = "run was interrupted";

/// What is known when a run begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// What is weighed against what.
    pub subject: Subject,
    /// The run, as far as it is known.
    pub part: Part,
    /// Every requirement of the spec.
    pub requirements: Vec<RequirementRow>,
    /// Every case that is to be decided.
    pub scheduled: Vec<Scheduled>,
}

/// A case that is to be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheduled {
    /// `REQUIREMENT::name`.
    pub id: String,
    /// The requirement.
    pub requirement: String,
    /// What is to be tried.
    pub tries: String,
    /// A command that repeats the case.
    pub repeat: String,
}

impl Header {
    /// The header of a run.
    pub fn new(
        subject: Subject,
        part: Part,
        requirements: Vec<RequirementRow>,
        scheduled: Vec<Scheduled>,
    ) -> Self {
        Header { format: FORMAT.to_owned(), subject, part, requirements, scheduled }
    }
}

/// A journal being written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Length of the whole lines in the file, in bytes.
    length: u64,
    hash: Sha256,
    started: Instant,
    cases: u64,
    by_verdict: BTreeMap<Verdict, u64>,
}

impl Journal {
    /// Begins a journal. An unfinished one of that name is set aside, a finished one replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritten`].
    pub fn begin(path: &Path, header: &Header) -> Result<Journal, StoreError> {
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

    /// Writes down a finished case, before the next one begins.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritten`].
    pub fn case(&mut self, case: &CaseRecord) -> Result<(), StoreError> {
        let at_seconds = self.started.elapsed().as_secs_f64();
        self.line(&Line::Case(Box::new(Finished { at_seconds, case: case.clone() })))?;
        self.cases += 1;
        *self.by_verdict.entry(case.verdict).or_default() += 1;
        Ok(())
    }

    /// Closes the journal with what is known of the run at its end.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unwritten`].
    pub fn finish(mut self, part: &Part) -> Result<(), StoreError> {
        self.line(&Line::Part(Box::new(part.clone())))?;
        let sha256 = hex(&self.hash.clone().finalize());
        let by_verdict = std::mem::take(&mut self.by_verdict);
        self.line(&Line::Footer(Footer { cases: self.cases, by_verdict, sha256 }))?;
        self.file.sync_all().map_err(|source| unwritten(&self.path, source))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn line(&mut self, line: &Line) -> Result<(), StoreError> {
        let mut bytes = serde_json::to_vec(line).map_err(StoreError::Unwritable)?;
        bytes.push(b'\n');
        append(&mut self.file, self.length, &bytes, &mut |file, bytes| file.write_all(bytes))
            .map_err(|source| unwritten(&self.path, source))?;
        self.length += bytes.len() as u64;
        self.hash.update(&bytes);
        Ok(())
    }
}

/// What a journal still says.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    /// The record; cases that never finished are in it as untested.
    pub record: Record,
    /// Whether the footer is missing.
    pub interrupted: bool,
    /// How many cases never finished.
    pub unfinished: u64,
}

/// Why a journal cannot be trusted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A line before the last one that does not read.
    #[error("line {line}: {message}")]
    Line {
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The first line is none that this version reads.
    #[error("its format is not {FORMAT}: {0}")]
    Format(String),
    /// The footer counts other cases than there are.
    #[error("its footer counts {counted} cases, not what is there: {found}")]
    Counts {
        /// By the footer.
        counted: u64,
        /// In the file.
        found: u64,
    },
    /// The bytes are not those that the footer was written for.
    #[error("its bytes are not those that its footer was made from: {0}")]
    Digest(String),
    /// A run that finished without deciding all that it had scheduled.
    #[error("it is closed, but cases are undecided: {0}")]
    Open(u64),
}

/// Whether bytes begin as a journal does.
pub fn is_journal(bytes: &[u8]) -> bool {
    bytes.starts_with(b"{\"header\":")
}

/// Reads a journal, with or without its footer.
///
/// # Errors
///
/// [`Damage`].
pub fn recover(bytes: &[u8]) -> Result<Recovered, Damage> {
    let mut reading = Reading::default();
    let mut offset = 0;
    for (index, piece) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let fault = |message: String| Damage::Line { line: index + 1, message };
        let before = &bytes[..offset];
        offset += piece.len();
        // A line that the run was cut off in: nothing follows it, so nothing is lost but itself.
        if !piece.ends_with(b"\n") && index > 0 {
            break;
        }
        if reading.footer {
            return Err(fault("something after the footer".to_owned()));
        }
        let line = serde_json::from_slice(piece).map_err(|error| fault(error.to_string()))?;
        reading.take(line, before, &fault)?;
    }
    reading.close()
}

#[derive(Default)]
struct Reading {
    header: Option<Header>,
    cases: Vec<CaseRecord>,
    decided: BTreeSet<String>,
    by_verdict: BTreeMap<Verdict, u64>,
    last: f64,
    part: Option<Part>,
    footer: bool,
}

impl Reading {
    fn take(
        &mut self,
        line: Line,
        before: &[u8],
        fault: &dyn Fn(String) -> Damage,
    ) -> Result<(), Damage> {
        match (line, &self.header) {
            (Line::Header(header), None) => {
                if header.format != FORMAT {
                    return Err(Damage::Format(header.format));
                }
                self.header = Some(*header);
            }
            (Line::Header(_), Some(_)) => return Err(fault("a second header".to_owned())),
            (_, None) => return Err(fault("no header before it".to_owned())),
            (Line::Case(finished), Some(header)) => {
                let Finished { at_seconds, case } = *finished;
                if !header.scheduled.iter().any(|scheduled| scheduled.id == case.id) {
                    return Err(fault(format!("a case that was not scheduled: {}", case.id)));
                }
                if !self.decided.insert(case.id.clone()) {
                    return Err(fault(format!("a case decided twice: {}", case.id)));
                }
                *self.by_verdict.entry(case.verdict).or_default() += 1;
                self.last = at_seconds;
                self.cases.push(case);
            }
            (Line::Part(part), Some(_)) => self.part = Some(*part),
            (Line::Footer(footer), Some(_)) => {
                let found = self.cases.len() as u64;
                if footer.cases != found || footer.by_verdict != self.by_verdict {
                    return Err(Damage::Counts { counted: footer.cases, found });
                }
                let digest = hex(&Sha256::digest(before));
                if digest != footer.sha256 {
                    return Err(Damage::Digest(digest));
                }
                self.footer = true;
            }
        }
        Ok(())
    }

    fn close(self) -> Result<Recovered, Damage> {
        let Some(header) = self.header else {
            return Err(Damage::Line { line: 1, message: "no header".to_owned() });
        };
        let mut cases = self.cases;
        let mut unfinished = 0;
        for scheduled in header.scheduled {
            if !self.decided.contains(&scheduled.id) {
                unfinished += 1;
                cases.push(scheduled.interrupted());
            }
        }
        if self.footer && unfinished > 0 {
            return Err(Damage::Open(unfinished));
        }
        let part = self.part.unwrap_or_else(|| {
            let mut part = header.part;
            part.seconds = part.seconds.max(self.last);
            part
        });
        let record = Record {
            format: super::FORMAT.to_owned(),
            subject: header.subject,
            parts: vec![part],
            requirements: header.requirements,
            cases,
        };
        Ok(Recovered { record, interrupted: !self.footer, unfinished })
    }
}

impl Scheduled {
    fn interrupted(self) -> CaseRecord {
        CaseRecord {
            id: self.id,
            requirement: self.requirement,
            tries: self.tries,
            verdict: Verdict::Untested,
            reason: Some(INTERRUPTED.to_owned()),
            steps: Vec::new(),
            elapsed_us: 0,
            loader_us: 0,
            evidence_us: 0,
            file_bytes: 0,
            repeat: self.repeat,
            stderr: None,
            part: 0,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Header(Box<Header>),
    Case(Box<Finished>),
    Part(Box<Part>),
    Footer(Footer),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Finished {
    /// Seconds since the header was written.
    at_seconds: f64,
    case: CaseRecord,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    cases: u64,
    by_verdict: BTreeMap<Verdict, u64>,
    sha256: String,
}

/// Appends at `length`, without a buffer: a killed harness leaves whole lines and at most one torn
/// one at the end. A line that the disk had no room for is taken back, so that a later one does
/// not follow upon half of it.
fn append(
    file: &mut File,
    length: u64,
    bytes: &[u8],
    put: &mut dyn FnMut(&mut File, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    put(file, bytes).inspect_err(|_| {
        // The first error is the one to tell; a device, for one, cannot be cut.
        let _ = file.set_len(length).and_then(|()| file.seek(SeekFrom::Start(length)));
    })
}

/// An unfinished journal may be all that is left of a run: it is renamed, never overwritten.
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

fn unwritten(path: &Path, source: io::Error) -> StoreError {
    StoreError::Unwritten { path: path.to_owned(), copy: None, source }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
