//! Carries out cases: plans them, hands them to worker processes, and records what was seen.
//!
//! A failure of one case costs that case and its process, never the run.

pub mod attempt;
pub mod conduct;
pub mod engine;
mod files;
pub mod full_size;
pub mod lab;
pub mod model;
pub mod plan;
pub mod shelf;
pub mod step;
pub mod worker;

pub use conduct::{Run, Suite};
pub use engine::{Progress, weigh};
pub use lab::Lab;
pub use model::{PlaceError, PlacedModel};
pub use plan::{Plan, Selection, Setting};
