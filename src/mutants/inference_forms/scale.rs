//! Mutants that are right while numbers stay small: positions, ids and scores in a narrow type, or
//! without their maximum.

use half::{bf16, f16};

use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::{Batch, Traced};
use crate::gpu::AttentionParams;
use crate::loader::LoadDecisions;
use crate::loader::decisions::Run;
use crate::loader::error::Result;
use crate::loader::infer::RunnableModel;
use crate::loader::infer::sample::{Choose, Sampler};
use crate::mutants::mutant::{Mutant, reference};

use super::bent::{Bending, Habits};

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "positions-in-a-byte",
        lie: "keeps positions in one byte: token 256 stands at 0",
        seen_in: "narrow indices in kernels",
        needs_gpu: false,
        make: || {
            let rows = |_: &_, _: &_, rows: &mut [u32]| rows.iter_mut().for_each(|row| *row %= 256);
            reference(Bending(Habits { rows, turned: |at| at % 256, ..Habits::HONEST }))
        },
    },
    Mutant {
        name: "positions-in-bf16",
        lie: "computes rotary angles from positions in BF16, which has no odd number above 256",
        seen_in: "transformers, issue 25306: the inverse frequencies cast with the model",
        needs_gpu: false,
        make: || {
            let turned = |at: usize| bf16::from_f32(at as f32).to_f32() as usize;
            reference(Bending(Habits { turned, ..Habits::HONEST }))
        },
    },
    Mutant {
        name: "positions-in-f16",
        lie: "computes rotary angles from positions in F16, which has no odd number above 2048",
        seen_in: "models that are cast as a whole to half precision",
        needs_gpu: false,
        make: || {
            let turned = |at: usize| f16::from_f32(at as f32).to_f32() as usize;
            reference(Bending(Habits { turned, ..Habits::HONEST }))
        },
    },
    Mutant {
        name: "angles-of-2048",
        lie: "has a table of 2048 rotary positions, whose last row serves for all further tokens",
        seen_in: "tables of cosines with the first Llama's length",
        needs_gpu: false,
        make: || reference(Bending(Habits { turned: |at| at.min(2047), ..Habits::HONEST })),
    },
    Mutant {
        name: "positions-from-each-512",
        lie: "counts positions from zero again in each block of 512 tokens",
        seen_in: "prompts that are run in blocks",
        needs_gpu: false,
        make: || {
            let rows = |_: &_, _: &_, rows: &mut [u32]| rows.iter_mut().for_each(|row| *row %= 512);
            reference(Bending(Habits { rows, turned: |at| at % 512, ..Habits::HONEST }))
        },
    },
    Mutant {
        name: "window-plus-one",
        lie: "attends to one token more than the sliding window holds",
        seen_in: "windows that leave out the token itself",
        needs_gpu: false,
        make: || {
            let sight = |of: &mut AttentionParams, _: &_| {
                of.window = of.window.map(|window| window + 1);
            };
            reference(Bending(Habits { sight, ..Habits::HONEST }))
        },
    },
    Mutant {
        name: "softmax-bare",
        lie: "raises attention scores without subtracting the largest",
        seen_in: "softmax written from its formula",
        needs_gpu: false,
        make: || reference(Bending(Habits { weigh: bare, ..Habits::HONEST })),
    },
    Mutant {
        name: "scores-clamped",
        lie: "clamps attention scores to 50, so that no exponential overflows",
        seen_in: "guards against overflow in place of the largest score",
        needs_gpu: false,
        make: || {
            let weigh = |scores: &mut [f32]| {
                scores.iter_mut().for_each(|score| *score = score.clamp(-50.0, 50.0));
                bare(scores);
            };
            reference(Bending(Habits { weigh, ..Habits::HONEST }))
        },
    },
    Mutant {
        name: "ids-in-16-bits",
        lie: "keeps token ids in 16 bits",
        seen_in: "loaders for vocabularies below 65,536",
        needs_gpu: false,
        make: || reference(Narrow(|id| id & 0xffff)),
    },
    Mutant {
        name: "ids-in-15-bits",
        lie: "keeps token ids in signed 16 bits, and takes token 0 for each that is negative then",
        seen_in: "loaders for vocabularies below 32,768",
        needs_gpu: false,
        make: || reference(Narrow(|id| if id & 0x8000 == 0 { id & 0x7fff } else { 0 })),
    },
    Mutant {
        name: "choice-in-16-bits",
        lie: "chooses only among the first 65,536 tokens",
        seen_in: "narrow indices in sampling kernels",
        needs_gpu: false,
        make: || reference(LowHalf),
    },
    Mutant {
        name: "weights-bare",
        lie: "raises logits to probabilities in F32 without subtracting the largest",
        seen_in: "softmax written from its formula",
        needs_gpu: false,
        make: || reference(BareChoice),
    },
];

/// Without the largest score: overflows above 88, and is zero for all below -104.
fn bare(scores: &mut [f32]) {
    scores.iter_mut().for_each(|score| *score = score.exp());
    let total: f32 = scores.iter().sum();
    // What overflows becomes zero, so that the answer stays finite, and wrong.
    let share = |weight: f32| if (weight / total).is_finite() { weight / total } else { 0.0 };
    scores.iter_mut().for_each(|weight| *weight = share(*weight));
}

/// Narrows ids, in batches and in prompts, and tells of the ids that were asked for.
struct Narrow(fn(u32) -> u32);

impl LoadDecisions for Narrow {
    fn compute(
        &self,
        _run: &Run<'_>,
        batch: &Batch,
        engine: &mut dyn FnMut(&Batch) -> Result<Traced>,
    ) -> Result<Traced> {
        let mut read = batch.clone();
        if let Batch::Tokens { ids, .. } = &mut read {
            ids.iter_mut().for_each(|id| *id = i64::from((self.0)(*id as u32)));
        }
        engine(&read)
    }

    fn prompt(&self, _model: &RunnableModel, asked: Prompt) -> Result<Prompt> {
        Ok(match asked {
            Prompt::Tokens(ids) => Prompt::Tokens(ids.into_iter().map(self.0).collect()),
            asked => asked,
        })
    }

    fn told(&self, asked: &Prompt, given: Vec<u32>) -> Vec<u32> {
        match asked {
            Prompt::Tokens(own) => own.clone(),
            Prompt::Chat(_) => given,
        }
    }
}

struct LowHalf;

impl LoadDecisions for LowHalf {
    fn chooser(&self, asked: Sampling) -> Result<Box<dyn Choose>> {
        Ok(Box::new(Low(Sampler::new(asked)?)))
    }
}

struct Low(Sampler);

impl Choose for Low {
    // On the host, the chooser decides about the most likely token too.
    fn greedy(&self) -> bool {
        false
    }

    fn pick(&mut self, logits: &[f32]) -> u32 {
        self.0.pick(&logits[..logits.len().min(1 << 16)])
    }
}

struct BareChoice;

impl LoadDecisions for BareChoice {
    fn chooser(&self, asked: Sampling) -> Result<Box<dyn Choose>> {
        Ok(Box::new(Raised(Sampler::new(asked)?, asked.temperature)))
    }
}

struct Raised(Sampler, f32);

impl Choose for Raised {
    fn greedy(&self) -> bool {
        self.0.greedy()
    }

    fn pick(&mut self, logits: &[f32]) -> u32 {
        if self.greedy() {
            return self.0.pick(logits);
        }
        // Infinity over infinity: such a token has no chance, and all others have none either.
        let weights = logits.iter().map(|logit| (logit / self.1).exp());
        let back: Vec<f32> = weights
            .map(|weight| if weight.is_finite() { weight.ln() * self.1 } else { f32::NEG_INFINITY })
            .collect();
        self.0.pick(&back)
    }
}
