//! The journal of a run: one JSON object on each line, written during the run, so that a report can
//! be made even if the run is killed.
//!
//! ```text
//! {"header":{"format":"weighbridge.journal/2","subject":{..},"part":{..},..},"chain":".."}
//! {"case":{"at_seconds":1.5,"case":{..}},"chain":".."}     one line for each finished case
//! {"part":{..},"chain":".."}                    the part again, as known at the end of the run
//! {"resumed":{..},"chain":".."}                 a run that went on after the one before had ended
//! {"footer":{"cases":1,"by_verdict":{"pass":1},"sha256":".."},"chain":".."}
//! ```
//!
//! The footer's SHA-256 is that of all bytes before it. `chain` is the SHA-256 of the line before and of this one
//! ([`chain`]). The part at the end of a run names the chain's head before it, and so does the report; with it the
//! report is held against the journal ([`recording`]).
//!
//! If the footer is missing, the run was interrupted: the record then holds the finished cases, and
//! the other scheduled cases as untested. If the footer does not match the lines before it, the
//! journal is damaged and is refused.
//!
//! As long as loaders run, `sealed` stands in the place of the run's seed; the part at its end tells it.
//!
//! A case's line is written as soon as the case is decided, and a thread of its own synchronises the
//! file to the disk after each line. So the death of the process loses no decided case, and the death
//! of the machine at most those of the last synchronisation, which takes milliseconds.

pub mod chain;
pub mod line;
pub mod recording;
pub mod recover;
pub mod resume;
mod sync;
pub mod write;

pub use self::chain::Chain;
pub use self::line::{EARLIER_FORMAT, FORMAT, Header, INTERRUPTED, Options, Scheduled};
pub use self::recover::{Damage, Recovered, recover};
pub use self::resume::{Interrupted, ResumeError};
pub use self::write::Journal;

#[cfg(test)]
mod tests;
