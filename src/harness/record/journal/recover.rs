//! Reads a journal, whether it is complete or was interrupted.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::chain::Chain;
use super::line::{EARLIER_FORMAT, FORMAT, Finished, Header, INTERRUPTED, Line, Scheduled};
use crate::harness::hex::hex;
use crate::harness::record::excuse::excuse;
use crate::harness::record::{self, CaseRecord, Commitment, Part, Record, Verdict};

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
    #[error("expected format {FORMAT} or {EARLIER_FORMAT}, found {0}")]
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
    read(bytes)?.close()
}

/// Reads the lines of a journal.
///
/// # Errors
///
/// [`Damage`].
pub(super) fn read(bytes: &[u8]) -> Result<Reading, Damage> {
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
        let line = reading.line(piece).map_err(fault)?;
        reading.take(line, before, &fault)?;
        reading.length = offset;
    }
    for case in &mut reading.cases {
        if let Some(part) = reading.parts.get(case.part) {
            case.repeat = part.unsealed(&case.repeat);
        }
    }
    Ok(reading)
}

/// What the lines say.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) header: Option<Header>,
    pub(super) cases: Vec<CaseRecord>,
    decided: BTreeSet<String>,
    pub(super) by_verdict: BTreeMap<Verdict, u64>,
    /// The runs, each as it is known by the last line about it.
    pub(super) parts: Vec<Part>,
    pub(super) footer: bool,
    /// Total length of the complete lines, in bytes.
    pub(super) length: usize,
    /// The chain up to here.
    pub(super) chain: Chain,
    /// The chain before the last line.
    before: Chain,
}

impl Reading {
    /// The next line, which must follow the lines before it.
    fn line(&mut self, piece: &[u8]) -> Result<Line, String> {
        let read = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|error| error.to_string());
        if self.chain.lines == 0
            && let Ok(line) = read(piece)
        {
            return Ok(line);
        }
        self.before = self.chain.clone();
        read(&self.chain.follow(piece)?)
    }

    fn take(
        &mut self,
        line: Line,
        before: &[u8],
        fault: &dyn Fn(String) -> Damage,
    ) -> Result<(), Damage> {
        match (line, &self.header) {
            (Line::Header(header), None) => {
                let format = if self.chain.lines == 0 { EARLIER_FORMAT } else { FORMAT };
                if header.format != format {
                    return Err(match header.format.as_str() {
                        FORMAT => fault("it has no chain".to_owned()),
                        EARLIER_FORMAT => fault("its format has no chain".to_owned()),
                        _ => Damage::Format(header.format),
                    });
                }
                self.parts = vec![header.part.clone()];
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
                if case.part.checked_add(1) != Some(self.parts.len()) {
                    return Err(fault(format!("case names another run than its own: {}", case.id)));
                }
                *self.by_verdict.entry(case.verdict).or_default() += 1;
                if let Some(part) = self.parts.last_mut() {
                    part.seconds = part.seconds.max(at_seconds);
                }
                self.cases.push(case);
            }
            (Line::Part(part), Some(_)) => {
                let before = self.parts.pop().and_then(|before| before.commitment);
                let sha256 = |of: Option<Commitment>| of.map(|commitment| commitment.sha256);
                if sha256(before) != sha256(part.commitment.clone()) {
                    return Err(fault(
                        "another commitment to a seed than before the cases".to_owned(),
                    ));
                }
                if self.chain.lines > 0 && part.journal.as_ref() != Some(&self.before) {
                    let expected =
                        format!("{} after {} lines", self.before.sha256, self.before.lines);
                    let why = "the part does not name the head of the chain before it";
                    return Err(fault(format!("{why}: expected {expected}")));
                }
                self.parts.push(*part);
            }
            (Line::Resumed(part), Some(_)) => self.parts.push(*part),
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
        let Some(header) = self.header else { return Err(no_header()) };
        let interrupted = !self.footer;
        let unfinished = (header.scheduled.len() - self.cases.len()) as u64;
        if self.footer && unfinished > 0 {
            return Err(Damage::Open(unfinished));
        }
        let record = header.unfinished(self.parts, self.cases, INTERRUPTED);
        Ok(Recovered { record, interrupted, unfinished })
    }
}

/// The damage of a journal without a header.
pub(super) fn no_header() -> Damage {
    Damage::Line { line: 1, message: "no header".to_owned() }
}

impl Header {
    /// The record of a run that did not decide all its cases: those that are missing are untested for
    /// this reason, and belong to the last part. The cases are in the plan's order, whichever of
    /// several workers decided them first.
    pub fn unfinished(self, parts: Vec<Part>, cases: Vec<CaseRecord>, reason: &str) -> Record {
        let mut decided: BTreeMap<String, CaseRecord> =
            cases.into_iter().map(|case| (case.id.clone(), case)).collect();
        let part = parts.len().saturating_sub(1);
        let unsealed = |command: &str| parts.last().map(|part| part.unsealed(command));
        let mut cases: Vec<CaseRecord> = self
            .scheduled
            .into_iter()
            .map(|mut scheduled| {
                scheduled.repeat = unsealed(&scheduled.repeat).unwrap_or(scheduled.repeat);
                let case = decided.remove(&scheduled.id);
                case.unwrap_or_else(|| scheduled.interrupted(part, reason))
            })
            .collect();
        excuse(&mut cases, &parts);
        let format =
            if self.format == FORMAT { record::FORMAT } else { record::EARLIER_FORMAT }.to_owned();
        let mut record = Record {
            format,
            subject: self.subject,
            parts,
            requirements: self.requirements,
            cases,
            classes: self.classes,
        };
        record.forget_relations();
        record
    }
}

impl Scheduled {
    fn interrupted(self, part: usize, reason: &str) -> CaseRecord {
        let Scheduled { id, requirement, tries, repeat } = self;
        let record = CaseRecord::untested(id, requirement, tries, repeat, reason.to_owned());
        CaseRecord { part, ..record }
    }
}
