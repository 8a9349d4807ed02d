//! Signs a report's statements, and checks signed ones against the report.

use serde_json::Value;

use super::bundle;
use super::envelope::Envelope;
use super::key::{PrivateKey, PublicKey};
use super::statement::{CERTIFICATE, ReportFile, Statement, statements};

/// Why attestations cannot be made or read, or what in them does not agree with the report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// What a signer vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// The key's name: SHA-256 of its DER form.
    pub key: String,
    /// When it was signed, by the signer's own word.
    pub time: String,
    /// Number of statements.
    pub statements: usize,
}

impl Attested {
    /// In words: `3 statements by the key 24b5..., at 2026-01-02T03:04:05Z by the signer's own word`.
    pub fn words(&self) -> String {
        let Attested { key, time, statements } = self;
        format!("{statements} statements by the key {key}, at {time} by the signer's own word")
    }
}

/// A statement's type, and its envelope.
pub type Signed = (String, Envelope);

/// Every statement about a report, each in a signed envelope.
///
/// # Errors
/// If the report names no file of the loader's program, or a statement cannot be written.
pub fn sign(file: &ReportFile<'_>, time: &str, key: &PrivateKey) -> Result<Vec<Signed>, Fault> {
    let all = statements(file, time);
    if all.is_empty() {
        return Err(Fault(
            "the report has no digest of the loader's program, so there is nothing to vouch for"
                .to_owned(),
        ));
    }
    let signed = |statement: Statement| {
        let payload = serde_json::to_vec(&statement).map_err(|error| Fault(error.to_string()))?;
        Ok((statement.predicate_type, Envelope::sign(&payload, key)))
    };
    all.into_iter().map(signed).collect()
}

/// The text of a file with all envelopes, one a line.
///
/// # Errors
/// If an envelope cannot be written as JSON.
pub fn lines(signed: &[Signed]) -> Result<String, Fault> {
    let line = |(_, envelope): &Signed| {
        serde_json::to_string(envelope)
            .map(|text| text + "\n")
            .map_err(|error| Fault(error.to_string()))
    };
    signed.iter().map(line).collect()
}

/// Checks every envelope's signature, and that the statements are those that follow from this report.
///
/// # Errors
/// The first thing that is wrong, with the line.
pub fn check(text: &str, file: &ReportFile<'_>, key: &PublicKey) -> Result<Attested, Fault> {
    let mut found = Vec::new();
    let wrong = |number: usize, what: String| Fault(format!("envelope {number}: {what}"));
    let envelopes = bundle::envelopes(text).map_err(|(at, error)| wrong(at, error.to_string()))?;
    for (number, envelope) in (1..).zip(&envelopes) {
        let wrong = |what: String| wrong(number, what);
        let payload = envelope.open(key).map_err(|error| wrong(error.to_string()))?;
        let statement: Statement = serde_json::from_slice(&payload)
            .map_err(|error| wrong(format!("not an in-toto statement: {error}")))?;
        found.push(statement);
    }
    let time = found
        .iter()
        .find(|statement| statement.predicate_type == CERTIFICATE)
        .and_then(|statement| statement.predicate["time"].as_str())
        .ok_or_else(|| Fault("no statement of this project is among the attestations".to_owned()))?
        .to_owned();
    let wanted = statements(file, &time);
    for statement in &wanted {
        let kind = &statement.predicate_type;
        match found.iter().filter(|one| one.predicate_type == *kind).collect::<Vec<_>>().as_slice()
        {
            [one] if *one == statement => {}
            [one] => return Err(Fault(format!("{kind}: {}", difference(statement, one)))),
            [] => return Err(Fault(format!("{kind}: there is no such statement"))),
            more => return Err(Fault(format!("{kind}: {} statements of it", more.len()))),
        }
    }
    if found.len() != wanted.len() {
        return Err(Fault(format!("{} statements, expected {}", found.len(), wanted.len())));
    }
    Ok(Attested { key: key.id(), time, statements: found.len() })
}

/// The first place where a signed statement says otherwise than the report.
fn difference(wanted: &Statement, found: &Statement) -> String {
    if wanted.subject != found.subject {
        let name = |statement: &Statement| {
            let first = statement.subject.first();
            first.map_or_else(String::new, |one| {
                format!("{} with SHA-256 {}", one.name, one.sha256())
            })
        };
        return format!("it is about another program: {}, expected {}", name(found), name(wanted));
    }
    place(&wanted.predicate, &found.predicate, "predicate")
        .unwrap_or_else(|| "it is not the statement that follows from the report".to_owned())
}

fn place(wanted: &Value, found: &Value, at: &str) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let mut keys: Vec<&String> = wanted.keys().chain(found.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            keys.into_iter().find_map(|key| {
                let none = &Value::Null;
                let (wanted, found) =
                    (wanted.get(key).unwrap_or(none), found.get(key).unwrap_or(none));
                place(wanted, found, &format!("{at}.{key}"))
            })
        }
        _ if wanted == found => None,
        _ => {
            Some(format!("{at} is {}, and {} follows from the report", short(found), short(wanted)))
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
