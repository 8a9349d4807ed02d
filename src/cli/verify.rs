//! `weighbridge verify`: derives every verdict and number of a report again.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::attest::attested;
use super::exit;
use super::fault::{Fault, print};
use super::weighing::Embedded;
use crate::harness::against::{self, Verified};
use crate::harness::attest::check::Attested;
use crate::harness::record::journal::recording;
use crate::harness::record::{Mismatch, ReadError, Report, Stored};
use crate::harness::report::outcome;
use crate::harness::report::text::{count, plain};

/// What is said of a record of this program's suite.
const OWN_SUITE: &str = concat!(
    "suite ",
    env!("CARGO_PKG_VERSION"),
    ", embedded here: held against its requirements, cases and checks"
);

/// What is said of a record of another suite.
const OTHER_SUITE: &str = "not this binary's suite: only the record's own consistency was checked";

/// Derive every verdict, sum and the certificate of a report again, and list what does not agree.
///
/// A record of this program's own suite must also have that suite's requirements, cases and checks. Of
/// another suite's record, only its own consistency is checked, and that is said.
/// A name, a time or a digest that nothing else in the report depends on can be edited unnoticed.
///
/// Exit codes: 0 all agrees, whatever the certificate says, 1 something does not, 2 usage, 3 with --own-suite,
/// where the record is about another suite.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A report.json, a bare record, or the journal of a run.
    report: PathBuf,
    /// Exit with 3 where the record is about another suite than this program's, and agrees with itself.
    #[arg(long)]
    own_suite: bool,
    /// Also check these attestations, envelopes or sigstore bundles: their signatures, and that they are about this
    /// report. It may be given several times; together the files must have every statement.
    #[arg(long, value_name = "FILE", requires = "key")]
    attestation: Vec<PathBuf>,
    /// The public key of whom you trust to vouch, in PEM: Ed25519, or ECDSA over P-256, P-384 or P-521.
    #[arg(long, value_name = "FILE", requires = "attestation")]
    key: Option<PathBuf>,
    /// Also check that this is the journal of the report's run: that its chain ends with the head that the report
    /// names, and that it says the same of every case.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
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
    let mut verified = against::verify(&stored, embedded.own());
    let attested = match attested(&args.report, &args.attestation, args.key.as_deref(), &stored)? {
        None => None,
        Some(Ok(attested)) => Some(attested),
        Some(Err(fault)) => {
            verified.mismatches.push(Mismatch { place: "attestation".to_owned(), what: fault.0 });
            None
        }
    };
    if let Some(path) = &args.journal {
        verified.mismatches.extend(recorded(path, &stored)?);
    }
    if args.json {
        return json(args, stored, &verified, attested.as_ref(), out);
    }
    let mismatches = &verified.mismatches;
    let mut text: String =
        mismatches.iter().map(|one| format!("{}\n", plain(&one.to_string()))).collect();
    let suite = if verified.own_suite { OWN_SUITE } else { OTHER_SUITE };
    text.push_str(&format!("{suite}\n"));
    let number = mismatches.len() as u64;
    if number > 0 {
        text.push_str(&format!("does not agree: {}\n", count(number, "mismatch", "mismatches")));
        print(out, &text)?;
        return Ok(exit::REFUTED);
    }
    let compared = match &stored {
        Stored::Report(_) => "the stored judgement is what follows from the record",
        Stored::Record(_) => "a bare record, so there is no stored judgement to hold against it",
        Stored::Journal(_) => "a closed journal, and its chain and its digest fit",
    };
    let report = Report::of(stored.into_record());
    text.push_str(&format!(
        "agrees: {}, {}; {compared}\n",
        count(report.record.requirements.len() as u64, "requirement", "requirements"),
        count(report.record.cases.len() as u64, "case", "cases"),
    ));
    text.push_str(&format!("{}\n", plain(&outcome::certificate(&report))));
    if let Some(attested) = &attested {
        text.push_str(&format!("signed: {}\n", plain(&attested.words())));
    }
    print(out, &text)?;
    Ok(code(args, &verified))
}

/// What does not agree in a journal, and between it and the report.
fn recorded(path: &Path, stored: &Stored) -> Result<Vec<Mismatch>, Fault> {
    let journal = match Stored::read(path) {
        Ok(Stored::Journal(journal)) => journal,
        Ok(_) => {
            let what = format!("{} is no journal of a run", path.display());
            return Ok(vec![Mismatch { place: "journal".to_owned(), what }]);
        }
        Err(ReadError::Journal { path, source }) => {
            let what = format!("{} is damaged: {source}", path.display());
            return Ok(vec![Mismatch { place: "journal".to_owned(), what }]);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(recording::differences(stored.record(), &journal))
}

/// The exit code of what was found.
const fn code(args: &Args, verified: &Verified) -> u8 {
    match (verified.mismatches.is_empty(), verified.own_suite) {
        (false, _) => exit::REFUTED,
        (true, false) if args.own_suite => exit::INCOMPLETE,
        (true, _) => exit::CORROBORATED,
    }
}

fn json(
    args: &Args,
    stored: Stored,
    verified: &Verified,
    attested: Option<&Attested>,
    out: &mut dyn Write,
) -> Result<u8, Fault> {
    let kind = match &stored {
        Stored::Report(_) => "report",
        Stored::Record(_) => "record",
        Stored::Journal(_) => "journal",
    };
    let report = Report::of(stored.into_record());
    let mismatches = &verified.mismatches;
    let list: Vec<Value> =
        mismatches.iter().map(|one| json!({"place": one.place, "what": one.what})).collect();
    let value = json!({
        "agrees": mismatches.is_empty(),
        "kind": kind,
        "own_suite": verified.own_suite,
        "mismatches": list,
        "requirements": report.record.requirements.len(),
        "cases": report.record.cases.len(),
        "profile": report.record.subject.profile,
        "certificate": report.judgement.certificate,
        "attested": attested.map(|one| json!({"key": one.key, "time": one.time, "statements": one.statements})),
    });
    print(out, &format!("{value}\n"))?;
    Ok(code(args, verified))
}
