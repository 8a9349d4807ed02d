//! Reports: what people and other programs read of a run.
//!
//! Everything here is written from a [`Report`], a record and what follows from it, and from
//! nothing else. Section titles are given by the caller, for the record holds keys only.

pub mod compare;
pub mod failure;
pub mod junit;
pub mod markdown;
pub mod outcome;
pub mod terminal;
pub mod text;
pub mod titles;

use std::path::{Path, PathBuf};

pub use self::failure::first_failure;
pub use self::titles::Titles;
pub use super::record::Report;
use super::record::whole::{WriteError, write_whole};

/// A form that a report can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `report.json`, from which all others can be made again.
    Json,
    /// JUnit XML.
    Junit,
    /// Markdown, for a pull request or a sign-off.
    Markdown,
    /// The summary that a run ends with.
    Terminal,
}

impl Format {
    /// What a file of this form is called after its prefix.
    pub const fn extension(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Junit => "junit.xml",
            Format::Markdown => "md",
            Format::Terminal => "txt",
        }
    }
}

/// Why a report could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The XML writer failed.
    #[error("cannot be written as JUnit XML: {0}")]
    Junit(#[from] quick_junit::SerializeError),
}

/// The report in one form, ending in a newline.
///
/// # Errors
///
/// [`ReportError`].
pub fn render(report: &Report, titles: &Titles, format: Format) -> Result<String, ReportError> {
    Ok(match format {
        Format::Json => report.to_json()?,
        Format::Junit => junit::junit(report, titles)?,
        Format::Markdown => markdown::markdown(report, titles),
        Format::Terminal => terminal::summary(report, titles),
    })
}

/// Writes `PREFIX.json`, `PREFIX.junit.xml` and `PREFIX.md`, the first one first: if a later one
/// fails, it can be made again from that.
///
/// # Errors
///
/// [`ReportError`].
pub fn write_all(
    report: &Report,
    titles: &Titles,
    prefix: &Path,
) -> Result<Vec<PathBuf>, ReportError> {
    let mut written = Vec::new();
    for format in [Format::Json, Format::Junit, Format::Markdown] {
        let mut path = prefix.as_os_str().to_owned();
        path.push(format!(".{}", format.extension()));
        let path = PathBuf::from(path);
        write_whole(&path, render(report, titles, format)?.as_bytes())?;
        written.push(path);
    }
    Ok(written)
}
