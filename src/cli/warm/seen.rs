//! What is seen of a warm start while it goes on.

use std::sync::{Arc, Mutex};

use crate::loader::warm::{Board, Phase, Plan};

/// What was planned and how far it came, for the end and for a dump.
pub(super) type Seen = Arc<Mutex<Option<(Plan, Arc<Board>)>>>;

/// Whether a model does not leave this phase any more.
pub(super) fn ended(phase: &Phase) -> bool {
    !matches!(phase, Phase::Pending | Phase::Loading | Phase::Validating)
}
