//! Classes of loaders: what of a suite they follow from, and how a record earns or misses them.
//!
//! The table travels in the record, so a reader needs no suite to derive the outcomes again.

pub mod asked;
pub mod outcome;
pub mod scope;
pub mod table;
pub mod told;

pub use self::asked::{Asked, DECLARED};
pub use self::scope::{Claims, Scope};
pub use self::table::{ClassRow, Table};
pub use self::told::{ClassOutcome, FeatureOutcome, Open, PolicyCount, Standing};

#[cfg(test)]
mod edges;
#[cfg(test)]
mod tests;
