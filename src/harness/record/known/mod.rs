//! Known failures: a team's list of what a loader is known to fail, and what a run makes of each entry.
//!
//! A listed failure is a failure all the same: the certificate counts it. The list only decides whether the
//! run ends as it was expected to end.

pub mod entry;
pub mod outcome;

pub use self::entry::{Entry, List};
pub use self::outcome::{Known, State};

#[cfg(test)]
mod tests;
