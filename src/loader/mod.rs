//! The judged: the bundled reference loader.
//!
//! There is one load path, [`load`](load::load): open, header, stream (hash, gates, widen, place), verify,
//! admit. Everything public in this house, the [`ReferenceLoader`] that answers the contract as
//! well as the names that the source documents give, is a view over it. What this house never
//! does: read a file by mapping it (a file cut short under a map ends the process with SIGBUS,
//! which no loader can turn into an answer), fall back to another device, or look at the harness.

pub mod admit;
pub mod cuda;
pub mod error;
pub mod header;
pub mod load;
pub mod memory;
pub mod preflight;
pub mod reference;
pub mod source;
pub mod steps;
pub mod stream;
pub mod widen;
pub mod write;

pub use error::LoadError;
pub use reference::ReferenceLoader;
pub use steps::{Honest, Steps};
