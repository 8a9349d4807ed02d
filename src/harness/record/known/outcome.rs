//! What a run makes of its list of known failures.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::entry::{Entry, List, fails};
use crate::harness::record::certificate::Certificate;
use crate::harness::record::{CaseRecord, Record, Values, Verdict};

/// A list of known failures, compared with a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Digest of the list.
    pub digest: String,
    /// What was made of each entry, in the list's order.
    pub entries: Vec<Found>,
    /// Ids of the cases that fail and that no entry describes. Rules of warning severity are left out.
    pub unlisted: Vec<String>,
    /// Whether all runs of the record used this list.
    pub one_list: bool,
    /// The certificate if every listed failure had passed. It is no certificate of the loader.
    pub besides: Certificate,
}

/// What was made of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// The entry.
    pub entry: Entry,
    /// Whether the run is as it says.
    pub state: State,
    /// Ids of the cases that fail as the entry says.
    pub cases: Vec<String>,
    /// What is not as it says, in one sentence; `None` if nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether a run is as an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its cases fail as it says.
    AsListed,
    /// Not every one of its cases was tried here, and none failed.
    NotTried,
    /// Its cases pass.
    Passes,
    /// It is about no case of this run.
    MatchesNothing,
    /// A case fails in another way than it says.
    FailsOtherwise,
    /// Its last day is over.
    Expired,
}

impl State {
    /// The state in words.
    pub const fn name(self) -> &'static str {
        match self {
            State::AsListed => "as listed",
            State::NotTried => "not tried",
            State::Passes => "passes",
            State::MatchesNothing => "matches nothing",
            State::FailsOtherwise => "fails otherwise",
            State::Expired => "past its date",
        }
    }

    /// Whether the list must be mended.
    pub const fn is_stale(self) -> bool {
        !matches!(self, State::AsListed | State::NotTried)
    }
}

impl Known {
    /// Compares a record with the list of its runs; `None` if no run had one. `certificate` judges a record.
    pub fn of(record: &Record, certificate: impl Fn(&Record) -> Certificate) -> Option<Known> {
        let list = record.parts.iter().find_map(|part| part.known.as_ref())?;
        let today = record.parts.iter().map(|part| day(&part.started)).max().unwrap_or_default();
        let entries: Vec<Found> =
            list.entries.iter().map(|entry| found(entry, list, record, today)).collect();
        let listed: BTreeSet<&str> =
            entries.iter().flat_map(|one| &one.cases).map(String::as_str).collect();
        let is_warning = |case: &CaseRecord| {
            record.requirements.iter().any(|row| row.warning && row.id == case.requirement)
        };
        let unlisted = record.cases.iter().filter(|case| {
            case.verdict.refutes() && !listed.contains(case.id.as_str()) && !is_warning(case)
        });
        let unlisted = unlisted.map(|case| case.id.clone()).collect();
        let mut without = record.clone();
        for case in without.cases.iter_mut().filter(|case| listed.contains(case.id.as_str())) {
            case.verdict = Verdict::Pass;
        }
        for part in &mut without.parts {
            part.known = None;
        }
        let besides = certificate(&without);
        let one_list = record.parts.iter().all(|part| part.known.as_ref() == Some(list));
        Some(Known { digest: list.digest.clone(), entries, unlisted, one_list, besides })
    }

    /// Whether the list must be mended.
    pub fn is_stale(&self) -> bool {
        !self.one_list || self.entries.iter().any(|one| one.state.is_stale())
    }

    /// How many entries are as listed.
    pub fn as_listed(&self) -> usize {
        self.entries.iter().filter(|one| one.state == State::AsListed).count()
    }

    /// The entry that describes a failure.
    pub fn entry(&self, case: &str) -> Option<&Entry> {
        let about = |one: &&Found| one.cases.iter().any(|id| id == case);
        self.entries.iter().find(about).map(|one| &one.entry)
    }
}

/// The day of a time in RFC 3339.
fn day(time: &str) -> &str {
    time.split('T').next().unwrap_or_default()
}

fn found(entry: &Entry, list: &List, record: &Record, today: &str) -> Found {
    let about: Vec<&CaseRecord> =
        record.cases.iter().filter(|case| entry.matches(&case.id)).collect();
    let failing: Vec<&CaseRecord> = about.iter().copied().filter(|case| fails(case)).collect();
    let listed: Vec<String> =
        failing.iter().filter(|case| entry.describes(case)).map(|case| case.id.clone()).collect();
    let (state, why) = state(entry, list, record, today, (&about, &failing, &listed));
    Found { entry: entry.clone(), state, cases: listed, why }
}

/// The state of an entry by the cases that it is about, those that fail, and those that fail as it says.
fn state(
    entry: &Entry,
    list: &List,
    record: &Record,
    today: &str,
    (about, failing, listed): (&[&CaseRecord], &[&CaseRecord], &[String]),
) -> (State, Option<String>) {
    let say = |state, why: String| (state, Some(why));
    let declared = record.requirements.iter().filter(|row| row.in_profile);
    let declared = declared.flat_map(|row| &row.cases).filter(|id| entry.matches(id)).count();
    let is_divided = record.parts.iter().any(|part| part.plan.is_some());
    // The texts of days in this form are in the order of the days.
    if entry.until.as_str() < today {
        return say(State::Expired, format!("its last day was {}, today is {today}", entry.until));
    }
    if declared == 0 || (about.is_empty() && !is_divided) {
        return say(State::MatchesNothing, "no case of this run has such an id".to_owned());
    }
    let other = |case: &&&CaseRecord| {
        !list.entries.iter().any(|one| one.matches(&case.id) && one.describes(case))
    };
    let other = failing.iter().find(other).or(failing.first().filter(|_| listed.is_empty()));
    if let Some(case) = other {
        let values = case.first_broken().and_then(|check| check.values.as_ref());
        let reason = values.map(Values::line).or(case.reason.clone()).unwrap_or_default();
        let (id, check) = (&case.id, &entry.check);
        return say(
            State::FailsOtherwise,
            format!("{id} was to fail at {check:?} and ended in {}: {reason}", case.verdict.name()),
        );
    }
    if !listed.is_empty() {
        return (State::AsListed, None);
    }
    if about.len() == declared && about.iter().all(|case| case.verdict == Verdict::Pass) {
        return say(State::Passes, format!("{} passed", cases(declared)));
    }
    let tried = about.iter().filter(|case| case.verdict == Verdict::Pass).count();
    say(
        State::NotTried,
        format!("{tried} of {} passed, the others were not tried", cases(declared)),
    )
}

fn cases(number: usize) -> String {
    if number == 1 { "1 case".to_owned() } else { format!("{number} cases") }
}
