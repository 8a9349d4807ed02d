//! The request, the decisions and the timer that all stages of one load use.

use super::times::Watch;
use crate::contract::request;
use crate::loader::decisions::LoadDecisions;
use crate::loader::progress::Progress;

/// One load. Each stage passes it to the next.
pub struct LoadContext<'a> {
    /// The request.
    pub request: &'a request::Load,
    /// The replaceable decisions.
    pub decisions: &'a dyn LoadDecisions,
    /// Counters that another thread may read.
    pub progress: &'a Progress,
    /// Measures the time of each step.
    pub watch: Watch,
}
