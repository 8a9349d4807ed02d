//! Errors in one architecture only.

use crate::loader::infer::RunnableModel;
use crate::loader::infer::config::Architecture;
use crate::mutants::inference::misrouted;

/// Swaps gate and up of Nomic's BERT.
pub(super) fn nomic_gate_swapped(model: &mut RunnableModel) {
    if model.config.architecture == Architecture::Nomic {
        misrouted(model);
    }
}

/// Lets Mistral attend to all earlier tokens.
pub(super) fn mistral_without_window(model: &mut RunnableModel) {
    if model.config.architecture == Architecture::Mistral {
        model.config.window = None;
    }
}

/// Removes the position table of GPT-2.
pub(super) fn gpt2_without_positions(model: &mut RunnableModel) {
    if model.config.architecture == Architecture::Gpt2
        && let Some(body) = &mut model.parts.body
    {
        body.positions = None;
    }
}
