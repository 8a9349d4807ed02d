//! Weighbridge tests whether a GPU weight loader does what it claims.
//!
//! - [`harness`] is the judge. It reads requirements (`spec/`) and cases (`conformance/`) as data,
//!   writes fixtures, sends requests to a loader and gathers its own evidence.
//! - [`loader`] is the bundled reference loader, which the judge tests like any other loader.
//! - [`contract`] has the requests and replies, and [`gpu`] is the only folder that uses the CUDA
//!   bindings. Judge and loader both use these two, and never import each other.
//! - [`mutants`] are loaders with one deliberate fault each, called a lie. They prove that the
//!   judge detects such faults.

pub mod cli;
pub mod contract;
pub mod gpu;
pub mod harness;
pub mod loader;
pub mod mutants;

pub use crate::cli::trials::conformance;
pub use crate::contract::{Loader, serve};
