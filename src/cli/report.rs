//! `weighbridge report`: makes any form of a report again, also from an interrupted run.

use std::io::Write;
use std::path::PathBuf;

use super::attest::attested;
use super::exit;
use super::fault::{Fault, print};
use crate::harness::record::whole::write_whole;
use crate::harness::record::{Report, Stored};
use crate::harness::report::failure::{first_failure, worst};
use crate::harness::report::text::count;
use crate::harness::report::{self, ReportError, Titles, html, terminal};

/// Make a report again from report.json, a bare record, or the journal of a run.
///
/// The journal of an interrupted run can be used too: cases that did not finish are untested.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The report, record or journal to make it from.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The form.
    #[arg(long, value_enum, default_value_t = Format::Terminal)]
    format: Format,
    /// Print the whole report as JSON: the same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// List every failed case, and the ids of all requirements that are open, in the form for a terminal.
    #[arg(long, short)]
    verbose: bool,
    /// Attestations about the report, which the HTML page names if they hold; else nothing is written.
    #[arg(long, value_name = "FILE", requires = "key")]
    attestation: Vec<PathBuf>,
    /// The public key of whom you trust to vouch: Ed25519, in PEM.
    #[arg(long, value_name = "FILE", requires = "attestation")]
    key: Option<PathBuf>,
    /// Write it to this file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The whole report, from which all others can be made.
    Json,
    /// JUnit XML, for continuous integration.
    Junit,
    /// Markdown, for pull requests and sign-off.
    Markdown,
    /// The Common Test Report Format (CTRF), for tools that read it.
    Ctrf,
    /// One HTML page that loads nothing from elsewhere, for whoever signs a release off.
    Html,
    /// The worst case and the summary, as a run prints them.
    Terminal,
}

impl From<Format> for report::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Json => report::Format::Json,
            Format::Junit => report::Format::Junit,
            Format::Markdown => report::Format::Markdown,
            Format::Ctrf => report::Format::Ctrf,
            Format::Html => report::Format::Html,
            Format::Terminal => report::Format::Terminal,
        }
    }
}

/// Makes and writes the report; exits with 0 whatever its certificate says.
///
/// # Errors
///
/// [`Fault`]: the file cannot be read, the report not be written.
pub fn run(args: &Args, titles: &Titles, out: &mut dyn Write) -> Result<u8, Fault> {
    let stored = Stored::read(&args.from)?;
    if let Stored::Journal(journal) = &stored
        && journal.interrupted
    {
        let unfinished = count(journal.unfinished, "case", "cases");
        eprintln!("the run was interrupted: {unfinished} did not finish");
    }
    let signature = match attested(&args.from, &args.attestation, args.key.as_deref(), &stored)? {
        None => None,
        Some(attested) => Some(attested?.words()),
    };
    let made = Report::of(stored.into_record());
    let format = if args.json { Format::Json } else { args.format };
    let mut text = String::new();
    if format == Format::Terminal
        && let Some(case) = worst(&made.record)
    {
        text = format!("{}\n", first_failure(case));
    }
    match format {
        Format::Terminal => text.push_str(&terminal::summary(&made, titles, args.verbose)),
        Format::Html => {
            text = html::page(&made, titles, signature.as_deref()).map_err(ReportError::from)?;
        }
        other => text.push_str(&report::render(&made, titles, other.into())?),
    }
    match &args.out {
        Some(path) => write_whole(path, text.as_bytes())?,
        None => print(out, &text)?,
    }
    Ok(exit::CORROBORATED)
}
