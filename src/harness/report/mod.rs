//! Renders the report of a run for people and for other programs.
//!
//! The only source of a report is a [`Report`]: a record and its judgement. The caller gives the
//! sections' titles, because the record holds only their keys.

pub mod causes;
pub mod classes;
pub mod compare;
pub mod ctrf;
pub mod facts;
pub mod failure;
pub mod gate;
pub mod html;
pub mod junit;
pub mod markdown;
pub mod outcome;
pub mod parts;
pub mod terminal;
pub mod text;
pub mod times;
pub mod titles;

use std::path::{Path, PathBuf};

pub use self::failure::first_failure;
pub use self::titles::Titles;
pub use super::record::Report;
use super::record::whole::{WriteError, json, write_whole};

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `report.json`. The other formats can be made again from it.
    Json,
    /// JUnit XML.
    Junit,
    /// Markdown, for a pull request or a sign-off.
    Markdown,
    /// The Common Test Report Format, JSON.
    Ctrf,
    /// One HTML page that loads nothing, for whoever signs off.
    Html,
    /// The summary that is printed at the end of a run.
    Terminal,
}

impl Format {
    /// The file name extension, without the leading dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Junit => "junit.xml",
            Format::Markdown => "md",
            Format::Ctrf => "ctrf.json",
            Format::Html => "html",
            Format::Terminal => "txt",
        }
    }
}

/// Why a report could not be rendered or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The JSON could not be made, or the file not written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The XML writer failed.
    #[error("cannot write the report as JUnit XML: {0}")]
    Junit(#[from] quick_junit::SerializeError),
    /// The page's template has a fault.
    #[error("cannot lay out the report's page: {0}")]
    Html(#[from] minijinja::Error),
}

/// The report in one format, with a newline at its end.
///
/// # Errors
///
/// [`ReportError`].
pub fn render(report: &Report, titles: &Titles, format: Format) -> Result<String, ReportError> {
    Ok(match format {
        Format::Json => report.to_json()?,
        Format::Junit => junit::junit(report, titles)?,
        Format::Markdown => markdown::markdown(report, titles),
        Format::Ctrf => json(&ctrf::ctrf(report, titles))?,
        Format::Html => html::page(report, titles, None)?,
        Format::Terminal => terminal::summary(report, titles, false),
    })
}

/// Writes `PREFIX.json`, `PREFIX.junit.xml` and `PREFIX.md`, and returns their paths. The JSON is
/// written first: if a later file fails, it can be made again from the JSON.
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
