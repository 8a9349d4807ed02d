//! Checks the folder of a submission, offline: every file is the one that was submitted, the report agrees with
//! itself and with the suite, and whoever submits has signed it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{
    ATTESTATIONS, COUNTERSIGNED, FORMAT, JOURNAL, KEY, MANIFEST, REPORT, Refusal, Submission, make,
    open_ends,
};
use crate::harness::against::{self, Own};
use crate::harness::attest::check::{self, Attested};
use crate::harness::attest::key::PublicKey;
use crate::harness::attest::statement::ReportFile;
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::record::journal::recording;
use crate::harness::record::{Report, Stored};

/// A submission that holds.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What was submitted.
    pub submission: Submission,
    /// SHA-256 of `submission.json`.
    pub sha256: String,
    /// The report.
    pub report: Report,
    /// Whether it was held against this program's suite; else only its own consistency was checked.
    pub own_suite: bool,
    /// Who submitted.
    pub attested: Attested,
}

/// Checks a folder.
///
/// # Errors
/// [`Refusal`], the first thing that does not hold.
pub fn folder(folder: &Path, own: Own<'_>) -> Result<Checked, Refusal> {
    let manifest = read(folder, MANIFEST)?;
    let submission: Submission = serde_json::from_slice(&manifest)
        .map_err(|error| Refusal(format!("{MANIFEST} is not in its form: {error}")))?;
    if submission.format != FORMAT {
        let found = &submission.format;
        return Err(Refusal(format!("{MANIFEST} has the form {found:?}, expected {FORMAT:?}")));
    }
    files(folder, &submission)?;
    let stored = Stored::read(&folder.join(REPORT)).map_err(|error| Refusal(error.to_string()))?;
    let verified = against::verify(&stored, own);
    if let Some(first) = verified.mismatches.first() {
        return Err(Refusal(format!("{REPORT} does not agree: {first}")));
    }
    let Stored::Report(report) = stored else {
        return Err(Refusal(format!("{REPORT} is no report")));
    };
    let facts = make::Facts {
        contact: submission.product.contact.clone(),
        source: submission.product.source.clone(),
        file_system: submission.product.file_system.clone(),
        parallelism: submission.product.parallelism,
    };
    if make::product(&report, &facts) != submission.product {
        return Err(Refusal("the product is not the one that the report is about".to_owned()));
    }
    open_ends::check(&submission.product, &report)?;
    recording(folder, &submission, &report)?;
    let key = PublicKey::read(&folder.join(KEY)).map_err(|error| Refusal(error.to_string()))?;
    let text = String::from_utf8(read(folder, ATTESTATIONS)?)
        .map_err(|_| Refusal(format!("{ATTESTATIONS} is not UTF-8")))?;
    let file = ReportFile { report: &report, sha256: &submission.files[REPORT] };
    let attested = check::check(&text, &file, &key)
        .map_err(|fault| Refusal(format!("{ATTESTATIONS}: {fault}")))?;
    let own_suite = verified.own_suite;
    Ok(Checked { submission, sha256: sha256_hex(&manifest), report: *report, own_suite, attested })
}

/// Every file is there, is the one that was submitted, and there is no other.
fn files(folder: &Path, submission: &Submission) -> Result<(), Refusal> {
    let mut there: BTreeMap<String, bool> = BTreeMap::new();
    let unreadable = |error| Refusal(format!("cannot list {}: {error}", folder.display()));
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let plain = entry.file_type().is_ok_and(|kind| kind.is_file());
        there.insert(entry.file_name().to_string_lossy().into_owned(), plain);
    }
    for name in [REPORT, ATTESTATIONS, KEY] {
        if !submission.files.contains_key(name) {
            return Err(Refusal(format!("{MANIFEST} does not name {name}")));
        }
    }
    for (name, sha256) in &submission.files {
        if there.remove(name) != Some(true) {
            return Err(Refusal(format!("{name} is missing, or no plain file")));
        }
        let found = sha256_hex(&read(folder, name)?);
        if found != *sha256 {
            return Err(Refusal(format!("{name} was changed: expected {sha256}, found {found}")));
        }
    }
    there.retain(|name, _| name != MANIFEST && name != COUNTERSIGNED);
    match there.keys().next() {
        None => Ok(()),
        Some(other) => Err(Refusal(format!("{other:?} is not a file of the submission"))),
    }
}

/// The recording, if there is one, is that of the report's run.
fn recording(folder: &Path, submission: &Submission, report: &Report) -> Result<(), Refusal> {
    if !submission.files.contains_key(JOURNAL) {
        return Ok(());
    }
    let stored = Stored::read(&folder.join(JOURNAL)).map_err(|error| Refusal(error.to_string()))?;
    if let Some(first) = stored.verify().first() {
        return Err(Refusal(format!("{JOURNAL} does not agree: {first}")));
    }
    let Stored::Journal(recovered) = &stored else {
        return Err(Refusal(format!("{JOURNAL} is no journal")));
    };
    match recording::differences(&report.record, recovered).first() {
        None => Ok(()),
        Some(first) => Err(Refusal(format!("{JOURNAL} is not the recording of this run: {first}"))),
    }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Refusal> {
    let path = folder.join(name);
    fs::read(&path).map_err(|error| Refusal(format!("cannot read {}: {error}", path.display())))
}
