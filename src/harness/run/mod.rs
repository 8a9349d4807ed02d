//! Carries out cases: plans them, hands them to worker processes, and records the results.
//!
//! A failed case may end its process, but never the run.

pub mod case_run;
pub mod step;
pub mod suite_run;
#[cfg(test)]
mod trial;

pub use self::case_run::context::RunContext;
pub use self::case_run::model::{PlaceError, PlacedModel};
pub use self::case_run::setting::{Reach, Setting};
pub use self::suite_run::obstacle::obstacle_with;
pub use self::suite_run::plan::{Plan, Selection};
pub use self::suite_run::scheduler::{Progress, weigh};
pub use self::suite_run::{Run, Suite};
