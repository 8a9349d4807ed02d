//! Mutants of numbers that are unusual in small models and usual in published ones: a tiny epsilon, a large
//! base of the positions, states beyond the largest half. Also one that rounds where nobody asked for it.

use super::bent::{Bending, Habits};
use crate::loader::infer::RunnableModel;
use crate::mutants::inference::Misbuilt;
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "epsilon-of-1e-5-at-least",
        lie: "takes a smaller epsilon of a norm for 1e-5",
        seen_in: "norms that guard against a division by zero in half precision",
        needs_gpu: false,
        make: || reference(Misbuilt(|model| epsilons(model, |epsilon| epsilon.max(1e-5)))),
    },
    Mutant {
        name: "epsilon-in-half",
        lie: "keeps the epsilon of a norm in F16, in which 1e-8 is zero and 1e-6 is 9.5e-7",
        seen_in: "models that are cast as a whole to half precision",
        needs_gpu: false,
        make: || {
            reference(Misbuilt(|model| {
                epsilons(model, |epsilon| half::f16::from_f32(epsilon).to_f32());
            }))
        },
    },
    Mutant {
        name: "theta-of-a-million-at-most",
        lie: "takes a larger base of rotary positions for a million",
        seen_in: "checks of a plausible range",
        needs_gpu: false,
        make: || {
            reference(Misbuilt(|model| {
                if let Some(rotary) = &mut model.config.rotary {
                    rotary.base = rotary.base.min(1e6);
                }
            }))
        },
    },
    Mutant {
        name: "theta-in-half",
        lie: "takes a base of rotary positions above 65,504 for that number",
        seen_in: "models that are cast as a whole to half precision",
        needs_gpu: false,
        make: || {
            reference(Misbuilt(|model| {
                if let Some(rotary) = &mut model.config.rotary {
                    rotary.base = rotary.base.min(65_504.0);
                }
            }))
        },
    },
    Mutant {
        name: "states-clamped",
        lie: "clamps states to 65,504, the largest half, before it normalises them",
        seen_in: "T5 in half precision, in transformers",
        needs_gpu: false,
        make: || {
            let clamp = |states: &mut [f32]| {
                states.iter_mut().for_each(|value| *value = value.clamp(-65_504.0, 65_504.0));
            };
            reference(Bending(Habits { states: clamp, ..Habits::HONEST }))
        },
    },
    Mutant {
        name: "faint-states-flushed",
        lie: "takes states below 6e-8, the smallest half, for zero before it normalises them",
        seen_in: "norms in half precision",
        needs_gpu: false,
        make: || {
            let flush = |states: &mut [f32]| {
                for value in states.iter_mut().filter(|value| value.abs() < 6e-8) {
                    *value = 0.0;
                }
            };
            reference(Bending(Habits { states: flush, ..Habits::HONEST }))
        },
    },
    Mutant {
        name: "activations-in-bf16",
        lie: "rounds activations to BF16 before each product, where exact arithmetic was asked for",
        seen_in: "engines that compute in a model's own element type",
        needs_gpu: false,
        make: || {
            let fed = |value: f32| half::bf16::from_f32(value).to_f32();
            reference(Bending(Habits { fed: Some(fed), ..Habits::HONEST }))
        },
    },
];

/// Changes the epsilon of every layer's norms.
fn epsilons(model: &mut RunnableModel, change: fn(f32) -> f32) {
    for layer in model.parts.body.iter_mut().flat_map(|body| &mut body.layers) {
        for norm in [&mut layer.attention_norm, &mut layer.forward_norm] {
            norm.epsilon = change(norm.epsilon);
        }
    }
}
