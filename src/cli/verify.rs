//! `weighbridge verify`: derives every verdict and number of a report again.

use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::exit;
use super::fault::{Fault, print};
use super::weighing::Embedded;
use crate::harness::class;
use crate::harness::record::{Mismatch, Report, Stored};
use crate::harness::report::outcome;
use crate::harness::report::text::{count, plain};

/// Derive every verdict, sum and the certificate of a report again, and list what does not agree.
///
/// Exit codes: 0 all agrees, whatever the certificate says, 1 something does not, 2 usage.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A report.json, a bare record, or the journal of a run.
    report: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Lists what does not agree.
///
/// # Errors
///
/// [`Fault`] where the file cannot be read.
pub fn run(args: &Args, embedded: &Embedded, out: &mut dyn Write) -> Result<u8, Fault> {
    let stored = Stored::read(&args.report)?;
    let mut mismatches = stored.verify();
    mismatches.extend(against_suite(&stored, embedded));
    if args.json {
        return json(stored, &mismatches, out);
    }
    let mut text: String =
        mismatches.iter().map(|one| format!("{}\n", plain(&one.to_string()))).collect();
    let number = mismatches.len() as u64;
    if number > 0 {
        text.push_str(&format!("does not agree: {}\n", count(number, "mismatch", "mismatches")));
        print(out, &text)?;
        return Ok(exit::REFUTED);
    }
    let compared = match &stored {
        Stored::Report(_) => "the stored judgement is what follows from the record",
        Stored::Record(_) => "a bare record, so there is no stored judgement to hold against it",
        Stored::Journal(_) => "a closed journal, and its digest fits",
    };
    let report = Report::of(stored.into_record());
    text.push_str(&format!(
        "agrees: {}, {}; {compared}\n",
        count(report.record.requirements.len() as u64, "requirement", "requirements"),
        count(report.record.cases.len() as u64, "case", "cases"),
    ));
    text.push_str(&format!("{}\n", plain(&outcome::certificate(&report))));
    print(out, &text)?;
    Ok(exit::CORROBORATED)
}

/// Where the classes that a file carries are not those of this program's suite, if the file is about that.
fn against_suite(stored: &Stored, embedded: &Embedded) -> Option<Mismatch> {
    let record = match stored {
        Stored::Report(report) => &report.record,
        Stored::Record(record) => record,
        Stored::Journal(recovered) => &recovered.record,
    };
    let classes = record.classes.as_ref()?;
    let same_suite = record.subject.spec == embedded.spec.digest()
        && record.subject.cases == embedded.cases.digest();
    let differ = same_suite && *classes != class::table(&embedded.spec, embedded.cases.cases());
    differ.then(|| Mismatch {
        place: "classes".to_owned(),
        what: "they are not the classes of the suite that the record names".to_owned(),
    })
}

fn json(stored: Stored, mismatches: &[Mismatch], out: &mut dyn Write) -> Result<u8, Fault> {
    let kind = match &stored {
        Stored::Report(_) => "report",
        Stored::Record(_) => "record",
        Stored::Journal(_) => "journal",
    };
    let report = Report::of(stored.into_record());
    let list: Vec<Value> =
        mismatches.iter().map(|one| json!({"place": one.place, "what": one.what})).collect();
    let value = json!({
        "agrees": mismatches.is_empty(),
        "kind": kind,
        "mismatches": list,
        "requirements": report.record.requirements.len(),
        "cases": report.record.cases.len(),
        "profile": report.record.subject.profile,
        "certificate": report.judgement.certificate,
    });
    print(out, &format!("{value}\n"))?;
    Ok(if mismatches.is_empty() { exit::CORROBORATED } else { exit::REFUTED })
}
