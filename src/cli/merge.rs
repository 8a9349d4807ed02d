//! `weighbridge merge`: makes one report of several runs about the same subject.

use std::io::Write;
use std::path::PathBuf;

use super::exit;
use super::fault::{Fault, print};
use super::keeper::in_terminal;
use super::weighing::Embedded;
use crate::harness::against;
use crate::harness::record::{Report, Stored, merge};
use crate::harness::report::{Format, Titles, render, write_all};

/// Merge reports of runs about the same loader, commit, spec, cases and profile into one.
///
/// For each case the worst verdict counts; a case that no run decided stays untested. Parts of a plan must
/// be parts of one plan, and as long as one is missing, the certificate is incomplete.
///
/// Exit codes: 0 corroborated, 1 refuted, 2 usage, 3 incomplete, 5 the harness failed in a case, 7 a GPU is
/// quarantined, 8 the list of known failures must be mended.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Reports, bare records or journals.
    #[arg(required = true)]
    reports: Vec<PathBuf>,
    /// Where to write: PREFIX.json, PREFIX.junit.xml and PREFIX.md.
    #[arg(short, long, value_name = "PREFIX")]
    out: PathBuf,
    /// Print the merged report as JSON.
    #[arg(long)]
    json: bool,
    /// List every failed case, and the ids of all requirements that are open.
    #[arg(long, short)]
    verbose: bool,
}

/// Merges and writes.
///
/// # Errors
///
/// [`Fault`]: a file that cannot be read or does not agree with itself, records that do not go
/// together, a report that cannot be written.
pub fn run(
    args: &Args,
    embedded: &Embedded,
    titles: &Titles,
    out: &mut dyn Write,
) -> Result<u8, Fault> {
    let mut records = Vec::with_capacity(args.reports.len());
    for path in &args.reports {
        let stored = Stored::read(path)?;
        let verified = against::verify_part(&stored, embedded.own());
        if let Some(first) = verified.mismatches.into_iter().next() {
            return Err(Fault::Disagrees { path: path.clone(), first });
        }
        records.push(stored.into_record());
    }
    let report = Report::of(merge(records)?);
    let written = write_all(&report, titles, &args.out)?;
    let text = match args.json {
        true => render(&report, titles, Format::Json)?,
        false => in_terminal(&report, titles, args.verbose, &written)?,
    };
    print(out, &text)?;
    Ok(exit::of_run(&report.judgement))
}
