//! Reads a journal, whether it is complete or was interrupted.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::line::{FORMAT, Finished, Header, INTERRUPTED, Line, Scheduled};
use crate::harness::hex::hex;
use crate::harness::record::excuse::excuse;
use crate::harness::record::{self, CaseRecord, Part, Record, Verdict};

/// The content of a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    /// The record. It holds cases that did not finish as untested.
    pub record: Record,
    /// Whether the footer is missing.
    pub interrupted: bool,
    /// Number of scheduled cases that did not finish.
    pub unfinished: u64,
}

/// How a journal is damaged.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A complete line cannot be read, or may not stand at its place.
    #[error("line {line}: {message}")]
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The header names another format.
    #[error("expected format {FORMAT}, found {0}")]
    Format(String),
    /// The footer's counts do not match the cases in the file.
    #[error(
        "the cases do not match the footer's counts: the footer counts {counted}, the file has \
         {found}"
    )]
    Counts {
        /// Number of cases in the footer.
        counted: u64,
        /// Number of cases in the file.
        found: u64,
    },
    /// The footer's SHA-256 is not that of the bytes before it.
    #[error("the bytes do not match the footer's SHA-256; theirs is {0}")]
    Digest(String),
    /// The journal has a footer, but some scheduled cases are missing.
    #[error("the journal has a footer, but {0} scheduled cases are missing")]
    Open(u64),
}

/// Whether the bytes start like a journal.
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
        // The last line of an interrupted run may be incomplete; then only that line is lost.
        if !piece.ends_with(b"\n") && index > 0 {
            break;
        }
        if reading.footer {
            return Err(fault("data after the footer".to_owned()));
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
            (_, None) => return Err(fault("the first line is not a header".to_owned())),
            (Line::Case(finished), Some(header)) => {
                let Finished { at_seconds, case } = *finished;
                if !header.scheduled.iter().any(|scheduled| scheduled.id == case.id) {
                    return Err(fault(format!("case was not scheduled: {}", case.id)));
                }
                if !self.decided.insert(case.id.clone()) {
                    return Err(fault(format!("case is recorded twice: {}", case.id)));
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
        let parts = vec![part];
        excuse(&mut cases, &parts);
        let record = Record {
            format: record::FORMAT.to_owned(),
            subject: header.subject,
            parts,
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
            fixture_us: 0,
            file_bytes: 0,
            repeat: self.repeat,
            stderr: None,
            part: 0,
        }
    }
}
