//! The spec: the requirements as data, and the decisions about them.
//!
//! The files under `spec/` are embedded in the program, so it needs no folder at run time.
//! [`Spec::embedded`] reads and checks them; all other code uses the [`Spec`] that it returns. The
//! spec does not say how a requirement is tried: cases name requirement ids, requirements name no
//! cases.

mod check;
mod claims;
mod class;
mod decision;
mod files;
mod kind;
mod place;
mod read;
mod registry;
mod requirement;
mod role;
mod variants;

pub use self::class::{Class, ClassRule};
pub use self::decision::{
    ErrorCode, Excluded, Hardware, Limit, Profile, Resolution, Rule, Uncoded, Vram,
};
pub use self::kind::{Kind, KindGroup};
pub use self::place::{Place, SpecError};
pub use self::registry::Spec;
pub use self::requirement::{
    Basis, Bound, Document, Evidence, Family, Need, Origin, Requirement, Section, Severity, Source,
    Threshold,
};
pub use self::role::Role;
