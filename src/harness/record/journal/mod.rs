//! The journal of a run: one JSON object a line, written while the run goes on, so that a run
//! that is killed still leaves a report.
//!
//! ```text
//! {"header":{"format":"weighbridge.journal/1","subject":{..},"part":{..},"requirements":[..],"scheduled":[..]}}
//! {"case":{"at_seconds":1.5,"case":{..}}}              one for each finished case, flushed at once
//! {"part":{..}}                                        the part again, with what is known at its end
//! {"footer":{"cases":1,"by_verdict":{"pass":1},"sha256":".."}}       over all bytes before it
//! ```
//!
//! A journal without its footer was interrupted: its record holds the cases that finished, and
//! the others as untested. A journal *with* a footer that does not fit is damaged, and refused.

pub mod line;
pub mod recover;
pub mod write;

pub use self::line::{FORMAT, Header, INTERRUPTED, Scheduled};
pub use self::recover::{Damage, Recovered, recover};
pub use self::write::Journal;

#[cfg(test)]
mod tests;
