//! Running models: what a loader gives against what the oracle gives, what must follow from a change,
//! and what must be refused.

pub(super) mod batch;
pub(super) mod compare;
mod embed;
mod misfit;
mod real;
mod relate;
mod set;
mod validate;

pub use embed::embed;
pub(super) use embed::{fault, known, seed as input_seed};
pub use misfit::misfit;
pub use real::real;
pub use relate::relate;
pub use set::whole_set;
pub use validate::validate;
