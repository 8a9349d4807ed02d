//! A warm start: every model of a registry loaded, verified, run against its golden reference and held
//! on a device, or none at all.
//!
//! [`registry`] reads what is wanted, [`plan`] finds out whether it fits before the first byte is
//! copied, [`start()`] does it, several models at once, and [`board`] shows how far each has come.

pub mod board;
pub mod plan;
pub mod registry;
pub mod start;

pub use self::board::{Board, Phase, Status};
pub use self::plan::Plan;
pub use self::registry::Models;
pub use self::start::{Options, WarmModel, WarmSet, start};
