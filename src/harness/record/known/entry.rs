//! A list of known failures as a run used it, and which failures an entry is about.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::harness::hex::hex;
use crate::harness::record::{CaseRecord, Verdict};

/// So many letters and digits must a pattern or a check have at least.
const LEAST: usize = 3;

/// The list of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// SHA-256 over the entries: each field and a newline, in the order of the fields.
    pub digest: String,
    /// The entries, in the file's order.
    pub entries: Vec<Entry>,
}

/// One known failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// A requirement's id, a case's id, or a case's id with `*` in its name.
    #[serde(rename = "match")]
    pub pattern: String,
    /// A piece of the check that fails: of its text, of what is expected or found, or a failure's code.
    pub check: String,
    /// Why it fails.
    pub reason: String,
    /// Where it is followed.
    pub link: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it may fail, `YYYY-MM-DD`.
    pub until: String,
}

impl List {
    /// A list of these entries.
    pub fn of(entries: Vec<Entry>) -> List {
        let mut hash = Sha256::new();
        for entry in &entries {
            for (_, value) in entry.fields() {
                hash.update(value);
                hash.update("\n");
            }
        }
        List { digest: hex(&hash.finalize()), entries }
    }
}

impl Entry {
    /// Keys and values, in the order of the file.
    pub fn fields(&self) -> [(&'static str, &str); 6] {
        [
            ("match", &self.pattern),
            ("check", &self.check),
            ("reason", &self.reason),
            ("link", &self.link),
            ("owner", &self.owner),
            ("until", &self.until),
        ]
    }

    /// The first field that is not as it must be: its key, and what was expected and found.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        let empty = |(_, value): &(&str, &str)| value.trim().is_empty();
        if let Some((key, _)) = self.fields().into_iter().find(empty) {
            return Some((key, "expected a text, found nothing".to_owned()));
        }
        if let Some((key, value)) = self.fields().into_iter().find(|(_, text)| text.contains('\n'))
        {
            return Some((key, format!("expected one line, found {}", value.lines().count())));
        }
        if let Some(why) = too_wide(&self.pattern) {
            return Some(("match", why));
        }
        if signs(&self.check) < LEAST {
            let found = &self.check;
            return Some((
                "check",
                format!(
                    "expected at least {LEAST} letters or digits of one check, found {found:?}"
                ),
            ));
        }
        if !is_day(&self.until) {
            let found = &self.until;
            return Some(("until", format!("expected a day as YYYY-MM-DD, found {found:?}")));
        }
        None
    }

    /// Whether the entry is about this case.
    pub fn matches(&self, case: &str) -> bool {
        match self.pattern.split_once("::") {
            None => case.split("::").next() == Some(&self.pattern),
            Some(_) => fits(&self.pattern, case),
        }
    }

    /// Whether a case fails as the entry says.
    pub fn describes(&self, case: &CaseRecord) -> bool {
        let wanted = self.check.to_lowercase();
        let says = |text: &str| text.to_lowercase().contains(&wanted);
        let ended = matches!(case.verdict, Verdict::Crash | Verdict::Timeout);
        if ended && says(case.verdict.name()) {
            return true;
        }
        match case.first_broken() {
            Some(check) => {
                let values = check.values.as_ref().is_some_and(|values| says(&values.line()));
                values || says(&check.what) || says(&check.expected) || says(&check.found)
            }
            // Without a check that did not hold, the reason is all that is known.
            None => case.reason.as_deref().is_some_and(says),
        }
    }
}

/// Whether a case fails in a way that a list may name.
pub fn fails(case: &CaseRecord) -> bool {
    case.verdict.refutes() || case.verdict == Verdict::Warning
}

/// Why a pattern is about more than one fault's cases, if so.
fn too_wide(pattern: &str) -> Option<String> {
    let (requirement, name) = match pattern.split_once("::") {
        Some((requirement, name)) => (requirement, Some(name)),
        None => (pattern, None),
    };
    if requirement.contains('*') || signs(requirement) < LEAST {
        return Some(format!(
            "expected a requirement's id, with * in a case's name at most, found {pattern:?}, which is \
             wider than allowed"
        ));
    }
    let name = name.filter(|name| signs(name) < LEAST && name.contains('*') || name.is_empty())?;
    Some(format!(
        "expected at least {LEAST} letters or digits of the case's name, found {name:?}, which is wider \
         than allowed"
    ))
}

fn signs(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphanumeric()).count()
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.into_iter().any(|at| fits(after, &rest[at..]))
}

/// Whether a text is a day of the calendar, as `YYYY-MM-DD`.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let number = |part: &str, digits: usize| -> Option<u32> {
        let plain = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| part.parse().ok()).flatten()
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2))
    else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}
