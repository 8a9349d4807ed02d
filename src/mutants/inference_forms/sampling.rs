//! Mutants of sampling. Each chooses tokens that the request allows, and with other probabilities.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::contract::generation::Sampling;
use crate::loader::LoadDecisions;
use crate::loader::error::Result;
use crate::loader::infer::sample::{Choose, Sampler};
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "seed-fixed",
        lie: "draws with seed 42, whatever seed is requested",
        seen_in: "seeds that are set once at the start of a program",
        needs_gpu: false,
        make: || reference(Asked(|asked| Sampling { seed: 42, ..asked })),
    },
    Mutant {
        name: "seed-of-32-bits",
        lie: "keeps the lower 32 bits of a seed",
        seen_in: "seeds that are cast to unsigned int",
        needs_gpu: false,
        make: || reference(Asked(|asked| Sampling { seed: asked.seed & 0xffff_ffff, ..asked })),
    },
    Mutant {
        name: "seed-as-double",
        lie: "reads a seed as a double, which has 53 bits",
        seen_in: "JSON readers whose numbers are doubles",
        needs_gpu: false,
        make: || reference(Asked(|asked| Sampling { seed: asked.seed as f64 as u64, ..asked })),
    },
    Mutant {
        name: "seed-zero-is-none",
        lie: "takes seed 0 as none, and draws differently each time",
        seen_in: "APIs in which 0 means a random seed",
        needs_gpu: false,
        make: || reference(ZeroIsNone::default()),
    },
    Mutant {
        name: "seed-of-each-token",
        lie: "begins again with the seed at every token",
        seen_in: "samplers that are made inside the loop",
        needs_gpu: false,
        make: || reference(Drawn(|_, asked, logits| fresh(asked, logits))),
    },
    Mutant {
        name: "first-token-likely",
        lie: "takes the most likely token first, and samples the others",
        seen_in: "first tokens that come from the pass over the prompt",
        needs_gpu: false,
        make: || {
            reference(Drawn(|state, _, logits| {
                if state.step == 1 { largest(logits) } else { state.sampler.pick(logits) }
            }))
        },
    },
    Mutant {
        name: "only-first-sampled",
        lie: "samples the first token, and takes the most likely one from then on",
        seen_in: "options that are not passed to the decode loop",
        needs_gpu: false,
        make: || {
            reference(Drawn(|state, _, logits| {
                if state.step == 1 { state.sampler.pick(logits) } else { largest(logits) }
            }))
        },
    },
    Mutant {
        name: "temperature-capped",
        lie: "takes each temperature above 1 as 1",
        seen_in: "servers that clamp options",
        needs_gpu: false,
        make: || {
            reference(Asked(|asked| Sampling { temperature: asked.temperature.min(1.0), ..asked }))
        },
    },
    Mutant {
        name: "temperature-twice",
        lie: "divides by the temperature twice",
        seen_in: "samplers after logits that are scaled already",
        needs_gpu: false,
        make: || {
            reference(Asked(|asked| Sampling {
                temperature: asked.temperature * asked.temperature,
                ..asked
            }))
        },
    },
    Mutant {
        name: "temperature-multiplied",
        lie: "multiplies logits by the temperature",
        seen_in: "an inverse temperature under the name of a temperature",
        needs_gpu: false,
        make: || {
            reference(Asked(|asked| match asked.temperature {
                0.0 => asked,
                temperature => Sampling { temperature: 1.0 / temperature, ..asked },
            }))
        },
    },
    Mutant {
        name: "top-k-50",
        lie: "draws among the 50 most likely tokens only",
        seen_in: "top_k = 50, a default of transformers",
        needs_gpu: false,
        make: || {
            reference(Drawn(|state, _, logits| {
                state.sampler.pick(&kept(logits, |rank, _| rank < 50, 1.0))
            }))
        },
    },
    Mutant {
        name: "min-p-5",
        lie: "leaves out tokens with less than a twentieth of the largest probability",
        seen_in: "min_p = 0.05, a default of llama.cpp",
        needs_gpu: false,
        make: || {
            reference(Drawn(|state, asked, logits| {
                let least = |_, share| share >= 0.05;
                state.sampler.pick(&kept(logits, least, asked.temperature))
            }))
        },
    },
    Mutant {
        name: "nucleus-without-its-last",
        lie: "leaves out the token with which the probabilities reach top_p",
        seen_in: "cumulative <= top_p, in samplers written from memory",
        needs_gpu: false,
        make: || reference(Drawn(|state, asked, logits| state.sampler.pick(&short(asked, logits)))),
    },
    Mutant {
        name: "nucleus-before-temperature",
        lie: "finds the tokens of top_p before it divides by the temperature",
        seen_in: "samplers with top-p first and temperature last",
        needs_gpu: false,
        make: || {
            reference(Drawn(|_, asked, logits| {
                let allowed = nucleus(&Sampling { temperature: 1.0, ..*asked }, logits);
                let own = only(logits, &allowed);
                let open = Sampling { top_p: 1.0, ..*asked };
                fresh_at(&open, &own)
            }))
        },
    },
    Mutant {
        name: "nucleus-even",
        lie: "draws each allowed token with the same probability",
        seen_in: "samplers that forget to weigh after a cut",
        needs_gpu: false,
        make: || {
            reference(Drawn(|state, asked, logits| {
                let allowed = nucleus(asked, logits);
                let even: Vec<f32> = (0..logits.len())
                    .map(|id| if allowed.contains(&id) { 0.0 } else { f32::NEG_INFINITY })
                    .collect();
                state.sampler.pick(&even)
            }))
        },
    },
    Mutant {
        name: "repeats-punished",
        lie: "makes tokens less likely that it has drawn before, though nothing asks for it",
        seen_in: "repeat_penalty = 1.1, a default of older llama.cpp",
        needs_gpu: false,
        make: || {
            reference(Drawn(|state, _, logits| {
                let mut own = logits.to_vec();
                for token in &state.seen {
                    let logit = &mut own[*token as usize];
                    *logit = if *logit < 0.0 { *logit * 1.5 } else { *logit / 1.5 };
                }
                state.sampler.pick(&own)
            }))
        },
    },
];

/// Changes the sampling that is asked for.
pub(super) struct Asked(pub(super) fn(Sampling) -> Sampling);

impl LoadDecisions for Asked {
    fn sampling(&self, asked: Sampling) -> Sampling {
        self.0(asked)
    }
}

#[derive(Default)]
struct ZeroIsNone(AtomicU64);

impl LoadDecisions for ZeroIsNone {
    fn sampling(&self, asked: Sampling) -> Sampling {
        match asked.seed {
            0 => Sampling { seed: 7 + self.0.fetch_add(1, Relaxed), ..asked },
            _ => asked,
        }
    }
}

/// Draws a token from what came before, the sampling that is asked for, and logits.
type Draw = fn(&mut State, &Sampling, &[f32]) -> u32;

/// Draws in its own way where tokens are sampled at all.
pub(super) struct Drawn(pub(super) Draw);

impl LoadDecisions for Drawn {
    fn chooser(&self, asked: Sampling) -> Result<Box<dyn Choose>> {
        let sampler = Sampler::new(asked)?;
        let state = State { sampler, step: 0, seen: BTreeSet::new(), last: None };
        Ok(Box::new(Drawing { asked, state, draw: self.0 }))
    }
}

/// What a draw may know.
pub(super) struct State {
    pub(super) sampler: Sampler,
    /// The token that is drawn, from 1.
    pub(super) step: usize,
    /// The tokens that were drawn before.
    pub(super) seen: BTreeSet<u32>,
    /// The one before.
    pub(super) last: Option<u32>,
}

struct Drawing {
    asked: Sampling,
    state: State,
    draw: Draw,
}

impl Choose for Drawing {
    fn greedy(&self) -> bool {
        self.asked.temperature == 0.0
    }

    fn pick(&mut self, logits: &[f32]) -> u32 {
        if self.greedy() {
            return self.state.sampler.pick(logits);
        }
        self.state.step += 1;
        let drawn = (self.draw)(&mut self.state, &self.asked, logits);
        self.state.seen.insert(drawn);
        self.state.last = Some(drawn);
        drawn
    }
}

/// The most likely token, the lowest among equals.
pub(super) fn largest(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
    best.map_or(0, |(id, _)| id as u32)
}

/// Draws with a sampler that has the seed that is asked for.
fn fresh(asked: &Sampling, logits: &[f32]) -> u32 {
    Sampler::new(*asked).map_or_else(|_| largest(logits), |mut sampler| sampler.pick(logits))
}

/// The same, from a seed that also depends on the logits, so that tokens differ from each other.
fn fresh_at(asked: &Sampling, logits: &[f32]) -> u32 {
    let mixed = logits.iter().fold(asked.seed, |sum, logit| {
        (sum ^ u64::from(logit.to_bits())).wrapping_mul(0x0100_0000_01b3)
    });
    fresh(&Sampling { seed: mixed, ..*asked }, logits)
}

/// The ids by falling probability, and each one's probability relative to the largest.
pub(super) fn ranked(logits: &[f32], temperature: f32) -> Vec<(usize, f64)> {
    let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let share = |logit: f32| ((f64::from(logit) - most) / f64::from(temperature)).exp();
    let mut all: Vec<_> = logits.iter().map(|logit| share(*logit)).enumerate().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all
}

/// Logits in which only the tokens stay that `stays` takes by rank and relative probability.
fn kept(logits: &[f32], stays: impl Fn(usize, f64) -> bool, temperature: f32) -> Vec<f32> {
    let all = ranked(logits, temperature);
    let stay = all.iter().enumerate().filter(|(rank, (_, share))| stays(*rank, *share));
    only(logits, &stay.map(|(_, (id, _))| *id).collect::<Vec<_>>())
}

/// Logits in which only some tokens stay.
pub(super) fn only(logits: &[f32], ids: &[usize]) -> Vec<f32> {
    let mut own = vec![f32::NEG_INFINITY; logits.len()];
    ids.iter().for_each(|id| own[*id] = logits[*id]);
    own
}

/// The tokens that top_p allows, by falling probability.
pub(super) fn nucleus(asked: &Sampling, logits: &[f32]) -> Vec<usize> {
    let all = ranked(logits, asked.temperature);
    let enough = f64::from(asked.top_p) * all.iter().map(|(_, share)| share).sum::<f64>();
    let mut sum = 0.0;
    let allowed = all.iter().take_while(|(_, share)| {
        let more = sum < enough;
        sum += share;
        more
    });
    allowed.map(|(id, _)| *id).collect()
}

fn short(asked: &Sampling, logits: &[f32]) -> Vec<f32> {
    let mut allowed = nucleus(asked, logits);
    if allowed.len() > 1 && asked.top_p < 1.0 {
        allowed.pop();
    }
    only(logits, &allowed)
}
