//! What every stage of one load works with.

use super::times::Watch;
use crate::contract::request;
use crate::loader::decisions::LoadDecisions;
use crate::loader::progress::Progress;

/// One load under way. The stages hand it on.
pub struct LoadContext<'a> {
    /// What was asked for.
    pub request: &'a request::Load,
    /// Decides.
    pub decisions: &'a dyn LoadDecisions,
    /// Told how far it is.
    pub progress: &'a Progress,
    /// Where the time goes.
    pub watch: Watch,
}
