//! Reads a team's list of known failures.
//!
//! ```yaml
//! - match: F-DTYPE-049::f64_*       # a requirement, a case, or cases of one requirement
//!   check: unsupported_dtype        # a piece of the check that fails, or its code
//!   reason: The library loads F64.
//!   link: https://example.org/issues/7
//!   owner: weights team
//!   until: 2026-12-31               # the last day on which it may fail
//! ```
//!
//! Every key is needed. What a run makes of the list is in `harness/record/known`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_yaml::{Location, Spanned};

use crate::harness::record::known::{Entry, List};

/// Why a list cannot be used. Each message begins with the file's path, so that an editor can open it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnownError {
    /// The file cannot be read as text.
    #[error("{}: cannot read the list of known failures: {why}\n  remedy: name a readable file with --known", file.display())]
    Unreadable {
        /// The path given.
        file: PathBuf,
        /// The reason.
        why: String,
    },
    /// The file is no such list, or an entry is not as it must be.
    #[error("{}:{line}:{column}: {why}\n  remedy: {remedy}", file.display())]
    Entry {
        /// The list.
        file: PathBuf,
        /// Line, counted from 1.
        line: u64,
        /// Column in characters, counted from 1.
        column: u64,
        /// The key, and what was expected and found.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// An entry as it is written. Missing keys are found here, so that the error can name them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "match")]
    pattern: Option<Spanned<String>>,
    check: Option<Spanned<String>>,
    reason: Option<Spanned<String>>,
    link: Option<Spanned<String>>,
    owner: Option<Spanned<String>>,
    until: Option<Spanned<String>>,
}

/// Reads a list of known failures.
///
/// # Errors
/// [`KnownError`].
pub fn read(file: &Path) -> Result<List, KnownError> {
    let unreadable = |why: String| KnownError::Unreadable { file: file.to_owned(), why };
    // Checked before opening, because opening a FIFO without a writer would block.
    if file.metadata().is_ok_and(|data| !data.is_file()) {
        return Err(unreadable("it is not a regular file".to_owned()));
    }
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
    parse(&text).map_err(|Fault { place, why, remedy }| KnownError::Entry {
        file: file.to_owned(),
        line: place.map_or(1, |place| place.line()),
        column: place.map_or(1, |place| place.column()),
        why,
        remedy,
    })
}

struct Fault {
    place: Option<Location>,
    why: String,
    remedy: &'static str,
}

fn parse(text: &str) -> Result<List, Fault> {
    let rows: Vec<Spanned<Written>> = serde_yaml::from_str(text).map_err(|error| {
        let said = error.without_snippet().to_string();
        // The parser appends the place, which the error text already begins with.
        let why = said.split(" at line ").next().unwrap_or(&said).trim().to_owned();
        Fault { place: error.location(), why, remedy: FORM }
    })?;
    let mut entries: Vec<Entry> = Vec::with_capacity(rows.len());
    for row in rows {
        let place = row.referenced;
        let entry = entry(row.value, place)?;
        if entries.iter().any(|one| one.pattern == entry.pattern && one.check == entry.check) {
            let why = format!("match: {:?} with this check is listed twice", entry.pattern);
            return Err(Fault { place: Some(place), why, remedy: "remove one of the two entries" });
        }
        entries.push(entry);
    }
    Ok(List::of(entries))
}

fn entry(written: Written, place: Location) -> Result<Entry, Fault> {
    let values = [
        ("match", written.pattern),
        ("check", written.check),
        ("reason", written.reason),
        ("link", written.link),
        ("owner", written.owner),
        ("until", written.until),
    ];
    let mut places = Vec::with_capacity(values.len());
    let mut texts = Vec::with_capacity(values.len());
    for (key, value) in values {
        let Some(value) = value else {
            let why = format!("{key}: expected this key in the entry, found none");
            return Err(Fault { place: Some(place), why, remedy: remedy(key) });
        };
        places.push((key, value.referenced));
        texts.push(value.value);
    }
    let mut texts = texts.into_iter();
    let mut next = || texts.next().unwrap_or_default();
    let entry = Entry {
        pattern: next(),
        check: next(),
        reason: next(),
        link: next(),
        owner: next(),
        until: next(),
    };
    match entry.fault() {
        None => Ok(entry),
        Some((key, why)) => {
            let own = places.iter().find(|(name, _)| *name == key).map(|(_, place)| *place);
            let place = own.or(Some(place));
            Err(Fault { place, why: format!("{key}: {why}"), remedy: remedy(key) })
        }
    }
}

const FORM: &str =
    "write a list whose entries have the keys match, check, reason, link, owner and until";

fn remedy(key: &str) -> &'static str {
    match key {
        "match" => {
            "name a requirement (F-DTYPE-049), a case, or cases of one requirement (F-DTYPE-049::f64_*)"
        }
        "check" => "copy a piece of the failing check from the report, such as unsupported_dtype",
        "reason" => "say in one line why it fails",
        "link" => "name the place where the failure is followed, such as the address of an issue",
        "owner" => "name who answers for the failure",
        "until" => "write the last day on which it may fail, such as 2026-12-31",
        _ => FORM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "- match: A-001::x\n  check: gap\n  reason: r\n  link: https://l\n  owner: o\n  until: 2026-12-31\n";

    fn error(text: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("known.yaml");
        std::fs::write(&path, text).expect("a file");
        let error = read(&path).expect_err("an error").to_string();
        error.replace(&path.display().to_string(), "known.yaml")
    }

    #[test]
    fn a_whole_list_is_read_with_every_field() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("known.yaml");
        std::fs::write(&path, WHOLE).expect("a file");
        let list = read(&path).expect("a list");
        let fields = list.entries[0].fields().map(|(_, value)| value);
        assert_eq!(fields, ["A-001::x", "gap", "r", "https://l", "o", "2026-12-31"]);
        assert_eq!(list, List::of(list.entries.clone()));
        std::fs::write(&path, "[]\n").expect("a file");
        assert_eq!(read(&path).map(|list| list.entries.len()), Ok(0));
    }

    #[test]
    fn each_fault_is_told_with_its_line_its_key_and_a_remedy() {
        for (from, to, line, key) in [
            ("  owner: o\n", "", 1, "owner"),
            ("  until: 2026-12-31\n", "", 1, "until"),
            ("2026-12-31", "2026-13-01", 6, "until"),
            ("2026-12-31", "soon", 6, "until"),
            ("A-001::x", "\"*\"", 1, "match"),
            ("A-001::x", "A-001::*", 1, "match"),
            ("check: gap", "check: \"*\"", 2, "check"),
            ("reason: r", "reason: \"\"", 3, "reason"),
        ] {
            let said = error(&WHOLE.replace(from, to));
            assert!(said.starts_with(&format!("known.yaml:{line}:")), "{said}");
            assert!(
                said.contains(&format!(" {key}: expected")) && said.contains("remedy: "),
                "{said}"
            );
        }
        assert!(error(&format!("{WHOLE}{WHOLE}")).starts_with("known.yaml:7:"));
        for (text, wanted) in [
            (WHOLE.replace("owner", "ownr"), "ownr"),
            ("- just a text\n".to_owned(), "remedy: write a list"),
            ("match: x\n".to_owned(), "remedy: write a list"),
            ("- {match: x\n".to_owned(), "remedy: write a list"),
            (WHOLE.replace("  check", "  match"), "match"),
        ] {
            assert!(error(&text).contains(wanted), "{}", error(&text));
        }
        let missing = read(Path::new("/no/such/known.yaml")).expect_err("an error").to_string();
        assert!(missing.contains("--known"), "{missing}");
        assert!(read(Path::new("/")).is_err());
    }
}
