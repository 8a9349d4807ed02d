//! The registry: a static site made of submissions that were checked and counter-signed. It has a table of who holds
//! which class, and for each submission a page and a badge.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset};
use minijinja::context;
use minijinja::value::{Serde, Value};
use serde::Serialize;
use serde_json::json;

use super::check::{self, Checked};
use super::{COUNTERSIGNED, Refusal, expiry};
use crate::harness::against::Own;
use crate::harness::attest::envelope::Envelope;
use crate::harness::attest::key::{PrivateKey, PublicKey};
use crate::harness::attest::statement::{STATEMENT, Statement, Subject};
use crate::harness::record::class::Standing;
use crate::harness::record::judge::Certificate;
use crate::harness::record::whole::write_whole;
use crate::harness::report::{Titles, html, outcome};

/// What a registry says of a submission that it has checked.
const ADMITTED: &str = "https://github.com/weighbridge/weighbridge/registry/v1";

/// Signs that this submission was checked, into its folder.
///
/// # Errors
/// If the file cannot be written.
pub fn countersign(
    folder: &Path,
    checked: &Checked,
    key: &PrivateKey,
    time: &str,
) -> Result<(), Refusal> {
    let failed = |error: &dyn std::fmt::Display| Refusal(error.to_string());
    let payload = serde_json::to_vec(&admission(checked, time)).map_err(|error| failed(&error))?;
    let envelope =
        serde_json::to_string(&Envelope::sign(&payload, key)).map_err(|error| failed(&error))?;
    write_whole(&folder.join(COUNTERSIGNED), format!("{envelope}\n").as_bytes())
        .map_err(|error| failed(&error))
}

fn admission(checked: &Checked, time: &str) -> Statement {
    Statement {
        kind: STATEMENT.to_owned(),
        subject: vec![Subject {
            name: super::MANIFEST.to_owned(),
            digest: BTreeMap::from([("sha256".to_owned(), checked.sha256.clone())]),
        }],
        predicate_type: ADMITTED.to_owned(),
        predicate: json!({
            "time": time,
            "certificate": checked.report.judgement.certificate,
            "submitted_by": checked.attested.key,
        }),
    }
}

/// When the registry admitted a submission; its signature must be by this key and about this submission.
fn admitted(folder: &Path, checked: &Checked, key: &PublicKey) -> Result<String, Refusal> {
    let path = folder.join(COUNTERSIGNED);
    let text = fs::read_to_string(&path)
        .map_err(|error| Refusal(format!("not counter-signed: {}: {error}", path.display())))?;
    let wrong = |what: &dyn std::fmt::Display| Refusal(format!("{COUNTERSIGNED}: {what}"));
    let envelope: Envelope = serde_json::from_str(text.trim()).map_err(|error| wrong(&error))?;
    let payload = envelope.open(key).map_err(|error| wrong(&error))?;
    let statement: Statement = serde_json::from_slice(&payload).map_err(|error| wrong(&error))?;
    let time = statement.predicate["time"].as_str().unwrap_or_default();
    match statement == admission(checked, time) {
        true => Ok(time.to_owned()),
        false => Err(wrong(&"it is about another submission")),
    }
}

/// One row of the table.
#[derive(Debug, Serialize)]
struct Entry {
    /// The folder's name, which is also that of its page.
    name: String,
    loader: String,
    version: String,
    card: String,
    /// Class and version, and whether it is earned.
    classes: Vec<(String, bool)>,
    certificate: &'static str,
    tone: &'static str,
    since: String,
    until: String,
    suite: String,
    /// `current`, `stale` or `expired`.
    state: &'static str,
}

/// What was made, and what was left out.
#[derive(Debug, Serialize)]
pub struct Made {
    /// Names of the submissions in the registry.
    pub admitted: Vec<String>,
    /// Names of the others, each with the reason.
    pub left_out: Vec<(String, String)>,
}

/// Makes the site of all submissions in a folder. One that does not hold, or that the registry did not counter-sign, is
/// left out with its reason. Pages are made from the reports again; nothing that a submitter wrote is published
/// as it is.
///
/// # Errors
/// A folder that cannot be read or written, a fault in a template.
pub fn site(
    submissions: &Path,
    (own, titles): (Own<'_>, &Titles),
    key: &PublicKey,
    now: DateTime<FixedOffset>,
    out: &Path,
) -> Result<Made, Refusal> {
    let mut made = Made { admitted: Vec::new(), left_out: Vec::new() };
    let mut all = Vec::new();
    for folder in folders(submissions)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let both = check::folder(&folder, own)
            .and_then(|checked| admitted(&folder, &checked, key).map(|time| (checked, time)));
        match both {
            Ok((checked, _)) if is_plain(&name) => {
                made.admitted.push(name.clone());
                all.push((name, checked));
            }
            Ok(_) => made.left_out.push((name, "the folder's name is no plain name".to_owned())),
            Err(refusal) => made.left_out.push((name, refusal.0)),
        }
    }
    let suites = all.iter().map(|(_, checked)| checked.report.record.subject.suite.as_str());
    let latest = expiry::latest(suites.chain([env!("CARGO_PKG_VERSION")]));
    let mut entries = Vec::new();
    for (name, checked) in &all {
        let entry = entry(name, checked, &latest, now)?;
        let page = html::page(&checked.report, titles, Some(&checked.attested.words()));
        let page = page.map_err(|error| Refusal(error.to_string()))?;
        write(&out.join(format!("{name}.html")), &page)?;
        write(&out.join(format!("{name}.svg")), &badge(&entry)?)?;
        entries.push(entry);
    }
    let data = context! { entries => Value::from(Serde(&entries)), made_at => now.format("%Y-%m-%d %H:%M UTC").to_string() };
    let index = html::fill("registry.html", include_str!("registry.html"), &data);
    write(&out.join("index.html"), &index.map_err(|error| Refusal(error.to_string()))?)?;
    Ok(made)
}

fn folders(submissions: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let unreadable = |error| Refusal(format!("cannot list {}: {error}", submissions.display()));
    let mut all = Vec::new();
    for entry in fs::read_dir(submissions).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.join(super::MANIFEST).is_file() {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

/// A name that can stand in a link and in a file's name.
fn is_plain(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.+".contains(letter);
    !name.is_empty() && !name.starts_with('.') && name != "index" && name.chars().all(plain)
}

fn entry(
    name: &str,
    checked: &Checked,
    latest: &[&str],
    now: DateTime<FixedOffset>,
) -> Result<Entry, Refusal> {
    let (record, judgement) = (&checked.report.record, &checked.report.judgement);
    let (since, until) = expiry::counts(record)
        .ok_or_else(|| Refusal(format!("{name}: the report does not say when it was made")))?;
    let tried = judgement
        .classes
        .iter()
        .filter(|class| matches!(class.outcome, Standing::Earned | Standing::Missed));
    let state = match () {
        () if now > until => "expired",
        () if !latest.contains(&record.subject.suite.as_str()) => "stale",
        () => "current",
    };
    Ok(Entry {
        name: name.to_owned(),
        loader: checked.submission.product.loader.clone(),
        version: checked.submission.product.version.clone(),
        card: checked.submission.product.card.clone(),
        classes: tried
            .map(|class| {
                (format!("{} {}", class.name, class.version), class.outcome == Standing::Earned)
            })
            .collect(),
        certificate: judgement.certificate.name(),
        tone: if judgement.certificate == Certificate::Corroborated { "pass" } else { "fail" },
        since: since.format("%Y-%m-%d").to_string(),
        until: until.format("%Y-%m-%d").to_string(),
        suite: record.subject.suite.clone(),
        state,
    })
}

/// A badge of two fields: the suite's name, and the classes that are earned.
fn badge(entry: &Entry) -> Result<String, Refusal> {
    let earned: Vec<&str> =
        entry.classes.iter().filter(|(_, earned)| *earned).map(|(name, _)| name.as_str()).collect();
    let words = match (entry.state, earned.is_empty()) {
        ("current", false) => earned.join(", "),
        ("current", true) => entry.certificate.to_owned(),
        (state, _) => state.to_owned(),
    };
    let colour = match (entry.state, earned.is_empty()) {
        ("current", false) => "#116329",
        ("current", true) => "#a40e26",
        _ => "#57606a",
    };
    let width = 7 * words.chars().count() + 20;
    let data = context! { words, colour, width };
    html::fill("badge.svg", include_str!("badge.svg"), &data)
        .map_err(|error| Refusal(error.to_string()))
}

/// One sentence about a checked submission.
pub fn words(checked: &Checked) -> String {
    let suite = match checked.own_suite {
        true => "held against this program's suite",
        false => "not this binary's suite: only the record's own consistency was checked",
    };
    format!("{}; {suite}; {}", outcome::certificate(&checked.report), checked.attested.words())
}

fn write(path: &Path, text: &str) -> Result<(), Refusal> {
    write_whole(path, text.as_bytes()).map_err(|error| Refusal(error.to_string()))
}
