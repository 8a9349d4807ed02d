//! What was read of the card that a run used, and whether that card may speak about a loader.
//!
//! A card that fails one of these readings is *quarantined*: no case of that run that failed is blamed on
//! the loader. `record/excuse.rs` applies this to the cases.

use serde::{Deserialize, Serialize};

/// The readings of a run's card.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Before the first case.
    pub before: Vec<Reading>,
    /// After a case that failed, where the card was found sick then, and after the last case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Reading>,
    /// Whether the user asked to run on a sick card. Then nothing is excused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anyway: bool,
}

/// One thing that was read of a card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// What was read.
    pub what: String,
    /// What it was, or why it cannot be read.
    pub found: String,
    /// What it must be.
    pub limit: String,
    /// Where the limit comes from.
    pub source: String,
    /// What follows.
    pub state: State,
    /// What to do, where it is sick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What follows from one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Within its limit.
    Healthy,
    /// Beyond its limit.
    Sick,
    /// This machine does not give it. That is no sign of health.
    NotReadable,
}

impl State {
    /// The state in words.
    pub const fn name(self) -> &'static str {
        match self {
            State::Healthy => "healthy",
            State::Sick => "sick",
            State::NotReadable => "not readable",
        }
    }
}

impl Health {
    /// Every reading that is sick, in the order of reading.
    pub fn sick(&self) -> impl Iterator<Item = &Reading> {
        self.before.iter().chain(&self.after).filter(|reading| reading.state == State::Sick)
    }

    /// Whether nothing that failed on this card is blamed on the loader.
    pub fn quarantined(&self) -> bool {
        !self.anyway && self.sick().next().is_some()
    }

    /// Why the card is sick, in one line; nothing if it is not.
    pub fn why(&self) -> Option<String> {
        why(self.sick())
    }

    /// The health in one line: `healthy, 9 of 11 readings; not readable: Xid errors, memory rows`.
    pub fn line(&self) -> String {
        let last = if self.after.is_empty() { &self.before } else { &self.after };
        let of = |state| last.iter().filter(move |reading| reading.state == state);
        let mut line = match (self.why(), self.quarantined()) {
            (Some(why), true) => format!("QUARANTINED: {why}"),
            (Some(why), false) => format!("sick, and used at the user's request: {why}"),
            (None, _) => {
                format!("healthy, {} of {} readings", of(State::Healthy).count(), last.len())
            }
        };
        let unread: Vec<&str> =
            of(State::NotReadable).map(|reading| reading.what.as_str()).collect();
        if !unread.is_empty() {
            line.push_str(&format!("; not readable: {}", unread.join(", ")));
        }
        line
    }

    /// What to do about each sick reading, without repetition.
    pub fn remedies(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for remedy in self.sick().filter_map(|reading| reading.remedy.as_deref()) {
            if !all.contains(&remedy) {
                all.push(remedy);
            }
        }
        all
    }
}

/// What is wrong by these readings, in one line; nothing if nothing is.
pub fn why<'a>(readings: impl IntoIterator<Item = &'a Reading>) -> Option<String> {
    let mut all: Vec<String> = Vec::new();
    for reading in readings.into_iter().filter(|reading| reading.state == State::Sick) {
        let one = format!("{}: expected {}, found {}", reading.what, reading.limit, reading.found);
        if !all.contains(&one) {
            all.push(one);
        }
    }
    (!all.is_empty()).then(|| all.join("; "))
}

#[cfg(test)]
pub(super) mod tests;
