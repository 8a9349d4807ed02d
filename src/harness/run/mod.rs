//! Carries out cases: plans them, hands them to worker processes, and records what was seen.
//!
//! A failure of one case costs that case and its process, never the run.

pub mod case_run;
pub mod step;
pub mod suite_run;

pub use self::case_run::context::Lab;
pub use self::case_run::model::{PlaceError, PlacedModel};
pub use self::suite_run::plan::{Plan, Selection, Setting};
pub use self::suite_run::scheduler::{Progress, weigh};
pub use self::suite_run::{Run, Suite};
