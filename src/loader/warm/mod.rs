//! A warm start: every model of a registry loaded, verified, run against its golden reference and held
//! on a device, or none at all.
//!
//! [`registry`] reads what is wanted, [`plan`] finds out whether it fits before the first byte is
//! copied, [`start()`] does it, several models at once, and [`board`] shows how far each has come.

pub mod board;
pub mod plan;
pub mod registry;
pub mod start;

pub use board::{Board, Phase, Status};
pub use plan::Plan;
pub use registry::Models;
pub use start::{Options, WarmModel, WarmSet, start};
