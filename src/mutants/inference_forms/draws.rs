//! Mutants of the random numbers of sampling, of what is kept between requests, and of how a number
//! becomes a token. Each answer alone looks right.

use std::sync::{Arc, Mutex, PoisonError};

use super::sampling::{Asked, Drawn, largest, nucleus, only, ranked};
use crate::contract::generation::Sampling;
use crate::loader::LoadDecisions;
use crate::loader::error::Result;
use crate::loader::infer::sample::{Choose, Sampler};
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this file.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "seed-of-16-bits",
        lie: "keeps the lower 16 bits of a seed",
        seen_in: "seeds that are cast to a short integer",
        needs_gpu: false,
        make: || reference(Asked(|asked| Sampling { seed: asked.seed & 0xffff, ..asked })),
    },
    Mutant {
        name: "seeds-in-a-row-alike",
        lie: "draws by a generator whose first numbers hardly differ where seeds are in a row",
        seen_in: "java.util.Random, which is seeded with a count",
        needs_gpu: false,
        make: || {
            reference(Numbered(|numbers| {
                let (high, low) = (java(&mut numbers.state, 26), java(&mut numbers.state, 27));
                ((high << 27) + low) as f64 / (1u64 << 53) as f64
            }))
        },
    },
    Mutant {
        name: "seed-plus-place",
        lie: "adds the place of a token to the seed, so that the next seed gives the same numbers a place earlier",
        seen_in: "kernels that hash the sum of seed and position",
        needs_gpu: false,
        make: || {
            reference(Numbered(|numbers| {
                let seed = numbers.asked.seed.wrapping_add(numbers.place);
                first_number(Sampling { seed, ..numbers.asked })
            }))
        },
    },
    Mutant {
        name: "numbers-twice",
        lie: "uses each random number for two tokens",
        seen_in: "generators that advance once for each pair of kernels",
        needs_gpu: false,
        make: || {
            reference(Numbered(|numbers| match numbers.place % 2 {
                0 => numbers.fresh(),
                _ => numbers.drawn.last().copied().unwrap_or(0.5),
            }))
        },
    },
    Mutant {
        name: "numbers-of-a-buffer",
        lie: "draws 16 random numbers for an answer, and begins with the first again after the last",
        seen_in: "noise that a recorded graph is given as a tensor of fixed size",
        needs_gpu: false,
        make: || {
            reference(Numbered(|numbers| match numbers.drawn.get(numbers.place as usize % 16) {
                Some(number) => *number,
                None => numbers.fresh(),
            }))
        },
    },
    Mutant {
        name: "numbers-of-8-bits",
        lie: "draws random numbers of 8 bits",
        seen_in: "uniform numbers that are made in BF16",
        needs_gpu: false,
        make: || reference(Numbered(|numbers| (numbers.fresh() * 256.0).floor() / 256.0)),
    },
    Mutant {
        name: "shares-added-in-bf16",
        lie: "adds probabilities in BF16 until they exceed the random number, and else takes the last token",
        seen_in: "cumulative sums in the type of the model",
        needs_gpu: false,
        make: || {
            reference(Drawn(|state, asked, logits| {
                let all = ranked(logits, asked.temperature);
                let whole: f64 = all.iter().map(|(_, share)| share).sum();
                let (number, mut sum) = (state.sampler.number() as f32, 0.0);
                let reached = nucleus(asked, logits).into_iter().zip(&all).find(|(_, one)| {
                    sum = in_bf16(sum + (one.1 / whole) as f32);
                    sum > number
                });
                let last = || nucleus(asked, logits).last().map_or(0, |id| *id as u32);
                reached.map_or_else(last, |(id, _)| id as u32)
            }))
        },
    },
    Mutant {
        name: "nucleus-not-raised",
        lie: "keeps the probabilities of the tokens that top_p allows, and takes the most likely one for all others",
        seen_in: "samplers that cut and do not divide by the sum",
        needs_gpu: false,
        make: || {
            reference(Drawn(|state, asked, logits| {
                let open = Sampling { top_p: 1.0, ..*asked };
                let number = state.sampler.number();
                let drawn = Sampler::new(open).map_or(0, |sampler| sampler.at(logits, number));
                match nucleus(asked, logits).contains(&(drawn as usize)) {
                    true => drawn,
                    false => largest(logits),
                }
            }))
        },
    },
    Mutant {
        name: "last-id-never-drawn",
        lie: "never draws the last token of the vocabulary",
        seen_in: "loops that end one token early",
        needs_gpu: false,
        make: || {
            reference(Drawn(|state, _, logits| {
                let all_but_last: Vec<usize> = (0..logits.len() - 1).collect();
                state.sampler.pick(&only(logits, &all_but_last))
            }))
        },
    },
    Mutant {
        name: "never-twice-in-a-row",
        lie: "never draws the token again that it has just drawn",
        seen_in: "servers that guard against loops, though nothing asks for it",
        needs_gpu: false,
        make: || {
            reference(Drawn(|state, _, logits| {
                let last = state.last.map(|id| id as usize);
                let others: Vec<usize> = (0..logits.len()).filter(|id| Some(*id) != last).collect();
                state.sampler.pick(&only(logits, &others))
            }))
        },
    },
    Mutant {
        name: "temperature-floor",
        lie: "takes each temperature below 0.5 as 0.5, but for zero",
        seen_in: "servers that clamp options",
        needs_gpu: false,
        make: || {
            reference(Asked(|asked| match asked.temperature {
                0.0 => asked,
                temperature => Sampling { temperature: temperature.max(0.5), ..asked },
            }))
        },
    },
    Mutant {
        name: "settings-of-the-first",
        lie: "samples by the temperature and top_p of its first sampled request",
        seen_in: "samplers that are made once, and are given later seeds only",
        needs_gpu: false,
        make: || reference(OfTheFirst::default()),
    },
    Mutant {
        name: "sampler-kept-for-its-seed",
        lie: "begins again only where a seed is another than that of the request before",
        seen_in: "servers that seed a shared generator when its seed changes",
        needs_gpu: false,
        make: || reference(Kept::default()),
    },
];

/// Gives the random number of each token.
type Number = fn(&mut Numbers) -> f64;

/// Samples by its own random numbers.
struct Numbered(Number);

impl LoadDecisions for Numbered {
    fn chooser(&self, asked: Sampling) -> Result<Box<dyn Choose>> {
        let sampler = Sampler::new(asked)?;
        let state = (asked.seed ^ JAVA) & JAVA_BITS;
        let numbers = Numbers { asked, sampler, state, place: 0, drawn: Vec::new() };
        Ok(Box::new(Numbering { numbers, number: self.0 }))
    }
}

struct Numbers {
    asked: Sampling,
    sampler: Sampler,
    /// The state of Java's generator.
    state: u64,
    /// The token that is drawn, from 0.
    place: u64,
    /// The numbers before.
    drawn: Vec<f64>,
}

impl Numbers {
    /// A number as the honest loader draws it.
    fn fresh(&mut self) -> f64 {
        self.sampler.number()
    }
}

struct Numbering {
    numbers: Numbers,
    number: Number,
}

impl Choose for Numbering {
    fn greedy(&self) -> bool {
        self.numbers.sampler.greedy()
    }

    fn pick(&mut self, logits: &[f32]) -> u32 {
        if self.greedy() {
            return largest(logits);
        }
        let number = (self.number)(&mut self.numbers);
        self.numbers.place += 1;
        self.numbers.drawn.push(number);
        self.numbers.sampler.at(logits, number)
    }
}

/// The factor of Java's generator, with which it also mixes its seed, and the bits of its state.
const JAVA: u64 = 0x5_deec_e66d;
const JAVA_BITS: u64 = (1 << 48) - 1;

/// The next bits of Java's generator.
fn java(state: &mut u64, bits: u32) -> u64 {
    *state = state.wrapping_mul(JAVA).wrapping_add(0xb) & JAVA_BITS;
    *state >> (48 - bits)
}

fn first_number(asked: Sampling) -> f64 {
    Sampler::new(asked).map_or(0.0, |mut sampler| sampler.number())
}

/// The nearest value of BF16, ties to even.
fn in_bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

#[derive(Default)]
struct OfTheFirst(Mutex<Option<Sampling>>);

impl LoadDecisions for OfTheFirst {
    fn sampling(&self, asked: Sampling) -> Sampling {
        if asked.temperature == 0.0 {
            return asked;
        }
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Sampling { seed: asked.seed, ..*first.get_or_insert(asked) }
    }
}

/// The sampler of the request before, and its seed.
#[derive(Default)]
struct Kept(Shared);

type Shared = Arc<Mutex<Option<(u64, Sampler)>>>;

impl LoadDecisions for Kept {
    fn chooser(&self, asked: Sampling) -> Result<Box<dyn Choose>> {
        let new = Sampler::new(asked)?;
        if new.greedy() {
            return Ok(Box::new(new));
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|(seed, _)| *seed != asked.seed) {
            *kept = Some((asked.seed, new));
        }
        Ok(Box::new(Keeping(asked, Arc::clone(&self.0))))
    }
}

struct Keeping(Sampling, Shared);

impl Choose for Keeping {
    fn greedy(&self) -> bool {
        false
    }

    fn pick(&mut self, logits: &[f32]) -> u32 {
        let mut kept = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let number = kept.as_mut().map_or(0.0, |(_, sampler)| sampler.number());
        Sampler::new(self.0).map_or(0, |sampler| sampler.at(logits, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_of_java(seed: u64) -> f64 {
        let mut state = (seed ^ JAVA) & JAVA_BITS;
        let (high, low) = (java(&mut state, 26), java(&mut state, 27));
        ((high << 27) + low) as f64 / (1u64 << 53) as f64
    }

    /// `new java.util.Random(seed).nextDouble()`.
    #[test]
    fn the_generator_is_javas() {
        assert_eq!(first_of_java(42), 0.727_563_680_032_868_1);
        assert_eq!(first_of_java(0), 0.730_967_787_376_657);
        let near = (1024..1074).map(|seed| (first_of_java(seed) - first_of_java(1024)).abs());
        assert!(near.fold(0.0, f64::max) < 0.01, "seeds in a row are alike");
    }

    #[test]
    fn sums_are_rounded_to_bf16() {
        assert_eq!(in_bf16(1.0), 1.0);
        let ulp = 2f32.powi(-7);
        assert_eq!(in_bf16(1.0 + ulp / 2.0), 1.0, "a tie goes to the even one");
        assert_eq!(in_bf16(1.0 + 1.5 * ulp), 1.0 + 2.0 * ulp);
        assert_eq!(in_bf16(0.5 + 0.001), 0.5, "a thousandth is lost");
    }
}
