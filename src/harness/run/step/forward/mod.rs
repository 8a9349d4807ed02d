//! Steps that run models: comparison with the oracle, effects of a change, and inputs that must be
//! refused.

mod real;
mod reject_input;
mod relate;
mod run;
mod set;
mod validate;

pub use self::real::real;
pub use self::reject_input::reject_input;
pub use self::relate::relate;
pub use self::run::forward;
pub use self::set::whole_set;
pub use self::validate::validate;
