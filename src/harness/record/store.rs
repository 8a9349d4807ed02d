//! Records on disk: reading one in any of its three forms, and writing so that no reader ever
//! meets half a file.
//!
//! The forms are a report ([`Report`]: record and judgement), a bare record, and the journal that
//! a run keeps while it goes on ([`super::journal`]).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::journal;
use super::judge::Judgement;
use super::{FORMAT, Record};

/// The format of `report.json`; a reader refuses others.
pub const REPORT_FORMAT: &str = "weighbridge.report/1";

/// What `report.json` holds: the record, and what follows from it.
///
/// The judgement is there for those who read the file without this program. Whoever has this
/// program derives it again and compares ([`Report::verify`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`REPORT_FORMAT`].
    pub format: String,
    /// What was observed.
    pub record: Record,
    /// What follows from it.
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
    /// [`StoreError::Unwritable`] where a claim cannot be said in JSON.
    pub fn to_json(&self) -> Result<String, StoreError> {
        json(self)
    }

    /// Writes `report.json`, whole or not at all.
    ///
    /// # Errors
    ///
    /// As [`write_whole`].
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        write_whole(path, self.to_json()?.as_bytes())
    }
}

impl Record {
    /// Reads the record out of a report, a bare record or a journal.
    ///
    /// A stored judgement is not looked at: it is derived again where it is wanted.
    ///
    /// # Errors
    ///
    /// As [`Stored::read`].
    pub fn read(path: &Path) -> Result<Record, StoreError> {
        Ok(Stored::read(path)?.into_record())
    }

    /// Writes the bare record, whole or not at all.
    ///
    /// # Errors
    ///
    /// As [`write_whole`].
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
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
    /// What a run wrote while it went on.
    Journal(Box<journal::Recovered>),
}

impl Stored {
    /// Reads a file in whichever form it is.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: no file, a folder, no JSON, another format, a damaged journal.
    pub fn read(path: &Path) -> Result<Stored, StoreError> {
        let bytes = read_bytes(path)?;
        if journal::is_journal(&bytes) {
            return match journal::recover(&bytes) {
                Ok(recovered) => Ok(Stored::Journal(Box::new(recovered))),
                Err(source) => Err(StoreError::Journal { path: path.to_owned(), source }),
            };
        }
        let Peek { format } = parse(path, &bytes)?;
        match format.as_deref() {
            Some(REPORT_FORMAT) => Ok(Stored::Report(Box::new(parse(path, &bytes)?))),
            Some(FORMAT) => Ok(Stored::Record(Box::new(parse(path, &bytes)?))),
            found => Err(StoreError::Format {
                path: path.to_owned(),
                found: found.unwrap_or("none").to_owned(),
            }),
        }
    }

    /// The record, whatever stood round it.
    pub fn into_record(self) -> Record {
        match self {
            Stored::Report(report) => report.record,
            Stored::Record(record) => *record,
            Stored::Journal(recovered) => recovered.record,
        }
    }
}

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such file.
    #[error("no such file: {0}")]
    Missing(PathBuf),
    /// A folder where a file should be.
    #[error("a folder, not a report: {0}")]
    Folder(PathBuf),
    /// The file would not be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Not JSON, cut off, or JSON of another shape.
    #[error("{path} does not read as a record, line {line}, column {column}: {message}")]
    Json {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What stood there.
        message: String,
    },
    /// JSON, but not ours or of another version.
    #[error(
        "{path} has a format that this version does not read (it reads {REPORT_FORMAT}, {FORMAT} \
         and {}): {found}",
        journal::FORMAT
    )]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format, or `none`.
        found: String,
    },
    /// A journal that cannot be trusted.
    #[error("{path} is a damaged journal, {source}")]
    Journal {
        /// Which file.
        path: PathBuf,
        /// Where and how.
        source: journal::Damage,
    },
    /// Something that JSON cannot say.
    #[error("cannot be written as JSON: {0}")]
    Unwritable(serde_json::Error),
    /// Nothing, or not everything, could be written. An older file of that name is untouched.
    #[error("cannot write {path}, {}: {source}", describe_copy(.copy.as_deref()))]
    Unwritten {
        /// Where it should have gone.
        path: PathBuf,
        /// Where the whole of it is instead.
        copy: Option<PathBuf>,
        /// The system's word; `StorageFull` where the disk is full.
        source: io::Error,
    },
}

impl StoreError {
    /// Whether the file that was asked for is at fault, and not the writing of a new one.
    pub const fn is_about_input(&self) -> bool {
        !matches!(self, StoreError::Unwritable(_) | StoreError::Unwritten { .. })
    }
}

/// Writes a file whole or not at all: into a new file in the same folder, to the disk, then
/// renamed over the old one. Missing folders are made.
///
/// # Errors
///
/// [`StoreError::Unwritten`]. Where the disk is full, a copy is tried in the system's temporary
/// folder, and the error says where it is.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_through(path, bytes, &std::env::temp_dir(), &mut |file, bytes| file.write_all(bytes))
}

/// [`write_whole`], with the folder for a copy and the act of writing given.
fn write_through(
    path: &Path,
    bytes: &[u8],
    refuge: &Path,
    put: &mut dyn FnMut(&mut File, &[u8]) -> io::Result<()>,
) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut write = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".weighbridge-").tempfile_in(folder)?;
        put(file.as_file_mut(), bytes)?;
        // A temporary file is born readable by its owner only; a report is there to be shared.
        open_to_readers(file.as_file())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        // The rename lives in the folder; a folder that cannot be synchronised is no lost report.
        File::open(folder).and_then(|folder| folder.sync_all()).unwrap_or_default();
        Ok(())
    };
    write().map_err(|source| StoreError::Unwritten {
        path: path.to_owned(),
        copy: is_space(&source).then(|| keep_copy(path, bytes, refuge)).flatten(),
        source,
    })
}

#[cfg(unix)]
fn open_to_readers(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn open_to_readers(_file: &File) -> io::Result<()> {
    Ok(())
}

fn is_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

fn keep_copy(path: &Path, bytes: &[u8], refuge: &Path) -> Option<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut file = tempfile::Builder::new()
        .prefix("weighbridge-")
        .suffix(&format!("-{name}"))
        .tempfile_in(refuge)
        .ok()?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).ok()?;
    file.keep().ok().map(|(_, path)| path)
}

fn describe_copy(copy: Option<&Path>) -> String {
    match copy {
        Some(copy) => format!("a whole copy is at {}", copy.display()),
        None => "there is no copy".to_owned(),
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    let mut text = serde_json::to_string_pretty(value).map_err(StoreError::Unwritable)?;
    text.push('\n');
    Ok(text)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::Missing(path.to_owned()),
        io::ErrorKind::IsADirectory => StoreError::Folder(path.to_owned()),
        _ => StoreError::Unreadable { path: path.to_owned(), source },
    })
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let place = format!(" at line {line} column {column}");
        StoreError::Json {
            path: path.to_owned(),
            line,
            column,
            message: message.strip_suffix(&place).unwrap_or(&message).to_owned(),
        }
    })
}

/// Enough of any JSON object to tell whose it is.
#[derive(Deserialize)]
struct Peek {
    #[serde(default)]
    format: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_report_reads_back_equal_in_each_form() -> Result<(), StoreError> {
        let folder = tempfile::tempdir().map_err(StoreError::of_test)?;
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
        assert!(matches!(Record::read(&path), Err(StoreError::Missing(_))));
        assert!(matches!(Record::read(folder.path()), Err(StoreError::Folder(_))));

        fs::write(&path, "{\n  \"format\": oops\n}")?;
        let Err(StoreError::Json { line: 2, column: 13, .. }) = Record::read(&path) else {
            return Err(io::Error::other(format!("{:?}", message(&path))));
        };
        fs::write(&path, r#"{"format": "weighbridge.report/2", "record": {}}"#)?;
        assert!(message(&path).is_err_and(|text| text.ends_with(": weighbridge.report/2")));
        fs::write(&path, r#"{"format": "weighbridge.report/1", "verdict": "pass"}"#)?;
        assert!(message(&path).is_err_and(|text| text.contains("unknown field `verdict`")));
        fs::write(&path, "[]")?;
        assert!(message(&path).is_err());
        fs::write(&path, "")?;
        assert!(message(&path).is_err_and(|text| text.contains("EOF")));
        Ok(())
    }

    #[test]
    fn a_full_disk_keeps_the_old_file_and_says_where_the_copy_is() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let refuge = tempfile::tempdir()?;
        let path = folder.path().join("report.json");
        fs::write(&path, "old")?;
        let mut full = |file: &mut File, bytes: &[u8]| {
            file.write_all(&bytes[..1])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let Err(error) = write_through(&path, b"new", refuge.path(), &mut full) else {
            return Err(io::Error::other("a full disk was not noticed"));
        };
        let text = error.to_string();
        let StoreError::Unwritten { copy: Some(copy), .. } = error else {
            return Err(io::Error::other(text));
        };
        assert_eq!(fs::read_to_string(&path)?, "old");
        assert_eq!(fs::read_to_string(&copy)?, "new");
        assert!(text.contains(&copy.display().to_string()), "{text}");
        assert_eq!(fs::read_dir(folder.path())?.count(), 1, "a half file was left behind");
        Ok(())
    }

    impl StoreError {
        fn of_test(source: io::Error) -> Self {
            StoreError::Unwritten { path: PathBuf::new(), copy: None, source }
        }
    }
}
