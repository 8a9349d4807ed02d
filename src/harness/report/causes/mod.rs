//! What failed in a run, by cause: many failures of one step, one check and one difference are one fault of
//! the loader.

pub mod cause;
pub mod known;
mod named;
pub mod open;
pub mod page;
pub mod screen;
pub mod shape;
