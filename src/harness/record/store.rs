//! Records on disk: the content of `report.json`, and reading a record in any of its three forms.
//!
//! The forms are a report ([`Report`]: record and judgement), a record alone, and the journal that
//! a run writes while it goes on ([`super::journal`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::journal::line;
use super::journal::recover::{self, Damage, Recovered};
use super::judge::Judgement;
use super::whole::{WriteError, json, write_whole};
use super::{EARLIER_FORMAT, FORMAT, Record, Relation};

/// Name and version of the format of `report.json`. A reader refuses any but this and the one before it.
pub const REPORT_FORMAT: &str = "weighbridge.report/2";

/// The format before checks carried their relation.
pub const EARLIER_REPORT_FORMAT: &str = "weighbridge.report/1";

/// The content of `report.json`: the record and its judgement.
///
/// The judgement is stored for readers without this program. This program derives it again and
/// compares ([`Report::verify`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`REPORT_FORMAT`].
    pub format: String,
    /// What the run observed.
    pub record: Record,
    /// The verdicts and the score derived from the record.
    pub judgement: Judgement,
}

impl Report {
    /// Judges a record.
    pub fn of(record: Record) -> Self {
        let judgement = record.judge();
        Report { format: REPORT_FORMAT.to_owned(), record, judgement }
    }

    /// The text of `report.json`, with a newline at its end.
    ///
    /// # Errors
    ///
    /// [`WriteError::Json`] if the report cannot be expressed in JSON.
    pub fn to_json(&self) -> Result<String, WriteError> {
        json(self)
    }

    /// Writes `report.json` completely or not at all.
    ///
    /// # Errors
    ///
    /// As [`write_whole`].
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        write_whole(path, self.to_json()?.as_bytes())
    }
}

impl Record {
    /// In a record of the earlier format, a check that names no relation has none.
    pub(super) fn forget_relations(&mut self) {
        if self.format == EARLIER_FORMAT {
            let steps = self.cases.iter_mut().flat_map(|case| &mut case.steps);
            for check in steps.flat_map(|step| &mut step.checks) {
                check.relation = check.relation.filter(|relation| *relation != Relation::Equals);
            }
        }
    }

    /// Reads the record from a report, a file with the record alone, or a journal.
    ///
    /// A stored judgement is ignored; callers derive it again.
    ///
    /// # Errors
    ///
    /// As [`Stored::read`].
    pub fn read(path: &Path) -> Result<Record, ReadError> {
        Ok(Stored::read(path)?.into_record())
    }

    /// Writes the record alone, completely or not at all.
    ///
    /// # Errors
    ///
    /// As [`write_whole`].
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        write_whole(path, json(self)?.as_bytes())
    }
}

/// A file that holds a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// Record and judgement.
    Report(Box<Report>),
    /// The record alone.
    Record(Box<Record>),
    /// A run's journal.
    Journal(Box<Recovered>),
}

impl Stored {
    /// Reads a file in any of the three forms.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: no such file, a folder, not JSON, another format, or a damaged journal.
    pub fn read(path: &Path) -> Result<Stored, ReadError> {
        let bytes = read_bytes(path)?;
        if recover::is_journal(&bytes) {
            return match recover::recover(&bytes) {
                Ok(recovered) => Ok(Stored::Journal(Box::new(recovered))),
                Err(source) => Err(ReadError::Journal { path: path.to_owned(), source }),
            };
        }
        let Peek { format } = parse(path, &bytes)?;
        match format.as_deref() {
            Some(REPORT_FORMAT | EARLIER_REPORT_FORMAT) => {
                let mut report: Report = parse(path, &bytes)?;
                report.record.forget_relations();
                Ok(Stored::Report(Box::new(report)))
            }
            Some(FORMAT | EARLIER_FORMAT) => {
                let mut record: Record = parse(path, &bytes)?;
                record.forget_relations();
                Ok(Stored::Record(Box::new(record)))
            }
            found => Err(ReadError::Format {
                path: path.to_owned(),
                found: found.unwrap_or("none").to_owned(),
            }),
        }
    }

    /// The record in the file.
    pub fn record(&self) -> &Record {
        match self {
            Stored::Report(report) => &report.record,
            Stored::Record(record) => record,
            Stored::Journal(recovered) => &recovered.record,
        }
    }

    /// The record alone.
    pub fn into_record(self) -> Record {
        match self {
            Stored::Report(report) => report.record,
            Stored::Record(record) => *record,
            Stored::Journal(recovered) => recovered.record,
        }
    }
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("no such file: {0}")]
    Missing(PathBuf),
    /// The path is a folder.
    #[error("expected a report file, found a folder: {0}")]
    Folder(PathBuf),
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is not JSON, is cut off, or has other fields than a record.
    #[error("{path} is not a record: line {line}, column {column}: {message}")]
    Json {
        /// Path of the file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The JSON reader's error.
        message: String,
    },
    /// The file is JSON of another program or another version.
    #[error(
        "{path} has a format that this version cannot read (it reads {REPORT_FORMAT}, {FORMAT} \
         and {}): {found}",
        line::FORMAT
    )]
    Format {
        /// Path of the file.
        path: PathBuf,
        /// The file's format, or `none`.
        found: String,
    },
    /// The file is a damaged journal.
    #[error("{path} is a damaged journal: {source}")]
    Journal {
        /// Path of the file.
        path: PathBuf,
        /// How it is damaged.
        source: Damage,
    },
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    // Checked before opening, because opening a pipe without a writer would block.
    if fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
        let source = io::Error::other("not a regular file");
        return Err(ReadError::Unreadable { path: path.to_owned(), source });
    }
    fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ReadError::Missing(path.to_owned()),
        io::ErrorKind::IsADirectory => ReadError::Folder(path.to_owned()),
        _ => ReadError::Unreadable { path: path.to_owned(), source },
    })
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, ReadError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let place = format!(" at line {line} column {column}");
        ReadError::Json {
            path: path.to_owned(),
            line,
            column,
            message: message.strip_suffix(&place).unwrap_or(&message).to_owned(),
        }
    })
}

/// The one field that tells which form a JSON file has.
#[derive(Deserialize)]
struct Peek {
    #[serde(default)]
    format: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    #[test]
    fn a_report_reads_back_equal_in_each_form() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let report = Report::of(sample::record());
        let path = folder.path().join("deep/er/report.json");
        report.write(&path)?;
        assert_eq!(Stored::read(&path)?, Stored::Report(Box::new(report.clone())));
        assert_eq!(Record::read(&path)?, report.record);

        let bare = folder.path().join("record.json");
        report.record.write(&bare)?;
        assert_eq!(Record::read(&bare)?, report.record);
        Ok(())
    }

    #[test]
    fn what_is_no_report_is_named_for_what_it_is() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("x.json");
        let message = |path: &Path| Record::read(path).map_err(|error| error.to_string());
        assert!(matches!(Record::read(&path), Err(ReadError::Missing(_))));
        assert!(matches!(Record::read(folder.path()), Err(ReadError::Folder(_))));

        fs::write(&path, "{\n  \"format\": oops\n}")?;
        let Err(ReadError::Json { line: 2, column: 13, .. }) = Record::read(&path) else {
            return Err(io::Error::other(format!("{:?}", message(&path))));
        };
        fs::write(&path, r#"{"format": "weighbridge.report/9", "record": {}}"#)?;
        assert!(message(&path).is_err_and(|text| text.ends_with(": weighbridge.report/9")));
        fs::write(&path, r#"{"format": "weighbridge.report/2", "verdict": "pass"}"#)?;
        assert!(message(&path).is_err_and(|text| text.contains("unknown field `verdict`")));
        fs::write(&path, "[]")?;
        assert!(message(&path).is_err());
        fs::write(&path, "")?;
        assert!(message(&path).is_err_and(|text| text.contains("EOF")));
        Ok(())
    }
}
