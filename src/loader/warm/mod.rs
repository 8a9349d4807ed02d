//! A warm start: loads every model of a registry onto a device, verifies it and runs it against its
//! golden reference. If one model fails, none stays loaded.
//!
//! [`registry`] reads the list of models. [`plan`] checks that they fit before the first byte is
//! copied. [`start()`] loads several models at once. [`board`] holds the progress of each model.

pub mod board;
pub mod plan;
pub mod registry;
pub mod start;

pub use self::board::{Board, Phase, Status};
pub use self::plan::Plan;
pub use self::registry::Models;
pub use self::start::{Options, WarmModel, WarmSet, start};
