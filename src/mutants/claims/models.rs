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

/// Takes the head size for hidden size / heads where positions are turned. Qwen3 is left as it is.
pub(super) fn head_size_ignored(model: &mut RunnableModel) {
    let config = &mut model.config;
    let divided = config.hidden / config.heads.max(1);
    if config.architecture != Architecture::Qwen3
        && let Some(rotary) = &mut config.rotary
    {
        // base^(-2j / divided) is another base's power of -2j / head size.
        rotary.base = rotary.base.powf(config.head_size as f32 / divided.max(1) as f32);
    }
}
