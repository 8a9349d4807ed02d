//! What must hold, as data: the requirements, and all that was decided about them.
//!
//! The files under `spec/` travel inside the program, which needs no folder of its own to run.
//! [`Spec::embedded`] reads and checks them once; everything else asks the [`Spec`] it returns.
//! How a requirement is tried is not here: cases name requirement ids, never the other way round.

mod check;
mod decision;
mod files;
mod place;
mod read;
mod registry;
mod requirement;
mod variants;

pub use self::decision::{
    ErrorCode, Excluded, Hardware, Limit, Profile, Resolution, Rule, Uncoded, Vram,
};
pub use self::place::{Place, SpecError};
pub use self::registry::Spec;
pub use self::requirement::{
    Basis, Bound, Document, Evidence, Family, Need, Origin, Requirement, Section, Severity, Source,
    Threshold,
};
