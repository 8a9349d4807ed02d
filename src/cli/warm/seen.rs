//! The plan and the progress of a warm start.

use std::sync::{Arc, Mutex};

use crate::loader::warm::{Board, Phase, Plan};

/// The plan and the status board, for the final output and for a dump.
pub(super) type Seen = Arc<Mutex<Option<(Plan, Arc<Board>)>>>;

/// Whether a model does not leave this phase any more.
pub(super) fn ended(phase: &Phase) -> bool {
    !matches!(phase, Phase::Pending | Phase::Loading | Phase::Validating)
}
