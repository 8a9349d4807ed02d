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

pub use self::embed::forward;
pub(super) use self::embed::{fault, known, seed as input_seed};
pub use self::misfit::misfit;
pub use self::real::real;
pub use self::relate::relate;
pub use self::set::whole_set;
pub use self::validate::validate;
