//! Weighbridge decides whether a GPU weight loader may be trusted.
//!
//! Two houses stand on one floor and never import each other. The **judge** is [`harness`]: it
//! reads requirements (`spec/`) and cases (`conformance/`) as data, writes fixtures, asks a loader
//! and gathers its own evidence. The **judged** is [`loader`], the bundled reference. The floor is
//! [`contract`], the verbs both speak, and [`gpu`], the only folder that names the CUDA bindings.
//! [`mutants`] are reference loaders that each tell one lie, to prove that the judge sees it.

pub mod cli;
pub mod contract;
pub mod gpu;
pub mod harness;
pub mod loader;
pub mod mutants;

pub use crate::cli::trials::conformance;
pub use crate::contract::{Loader, serve};
