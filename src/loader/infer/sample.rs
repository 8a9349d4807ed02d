//! Chooses the next token from logits: greedy, or by temperature and `top_p`.

use crate::contract::Phase;
use crate::contract::generation::Sampling;
use crate::loader::error::{LoadError, Result};
use crate::loader::remedies::Remedy;
use crate::loader::remedies::input_and_output::OUTPUT_NOT_FINITE;
use crate::loader::remedies::request::{TEMPERATURE, TOP_P};

/// What chooses the next token from logits.
pub trait Choose {
    /// Whether it always chooses the most likely token.
    fn greedy(&self) -> bool;

    /// Chooses the next token from logits of which some may be minus infinity: such a token is not
    /// chosen while there is another.
    fn pick(&mut self, logits: &[f32]) -> u32;

    /// Chooses the next token.
    ///
    /// # Errors
    /// `output_not_finite` if a logit is NaN or infinite.
    fn choose(&mut self, logits: &[f32]) -> Result<u32> {
        most_likely(logits)?;
        Ok(self.pick(logits))
    }
}

/// Chooses tokens by the contract's sampling. Its random state advances with each sampled token.
pub struct Sampler {
    sampling: Sampling,
    state: u64,
}

impl Sampler {
    /// Creates a sampler, seeded by `sampling.seed`.
    ///
    /// # Errors
    /// `invalid_request` for a temperature or a `top_p` out of range.
    pub fn new(sampling: Sampling) -> Result<Sampler> {
        let Sampling { temperature, top_p, seed } = sampling;
        if !temperature.is_finite() || temperature < 0.0 {
            return Err(
                unsuitable(TEMPERATURE, "temperature").expected("0 or more, finite", temperature)
            );
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(unsuitable(TOP_P, "top_p").expected("above 0, at most 1", top_p));
        }
        Ok(Sampler { sampling, state: seed })
    }

    /// The next random number, at least 0 and below 1, by `SplitMix64` (Steele, Lea and Flood,
    /// 2014).
    pub fn number(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The token at which the probabilities of those that `top_p` allows, added from the most likely
    /// one on, exceed a number. The number is at least 0 and below 1.
    pub fn at(&self, logits: &[f32], number: f64) -> u32 {
        let best = largest(logits);
        let most = f64::from(logits[best as usize]);
        let temperature = f64::from(self.sampling.temperature);
        let weight = |logit: f32| ((f64::from(logit) - most) / temperature).exp();
        let mut weights: Vec<(u32, f64)> =
            logits.iter().enumerate().map(|(id, logit)| (id as u32, weight(*logit))).collect();
        weights.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let enough = f64::from(self.sampling.top_p) * total;
        let mut sum = 0.0;
        let kept = weights.iter().take_while(|(_, weight)| {
            let more = sum < enough;
            sum += weight;
            more
        });
        let kept = kept.count().max(1);
        let nucleus: f64 = weights[..kept].iter().map(|(_, weight)| weight).sum();
        let mut left = number * nucleus;
        for (id, weight) in &weights[..kept] {
            left -= weight;
            if left < 0.0 {
                return *id;
            }
        }
        weights[kept - 1].0
    }
}

impl Choose for Sampler {
    fn greedy(&self) -> bool {
        self.sampling.temperature == 0.0
    }

    fn pick(&mut self, logits: &[f32]) -> u32 {
        let best = largest(logits);
        if self.greedy() || logits[best as usize] == f32::NEG_INFINITY {
            return best;
        }
        let number = self.number();
        self.at(logits, number)
    }
}

/// The index of the largest logit, the lowest among equals.
///
/// # Errors
/// `output_not_finite`.
pub fn most_likely(logits: &[f32]) -> Result<u32> {
    match logits.iter().enumerate().find(|(_, logit)| !logit.is_finite()) {
        Some((id, logit)) => Err(not_finite(format!("{logit} at index {id}"))),
        None => Ok(largest(logits)),
    }
}

/// The index of the largest logit, the lowest among equals.
fn largest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    best as u32
}

/// The error for logits that are not finite.
pub fn not_finite(found: String) -> LoadError {
    LoadError::refused(Phase::Infer, OUTPUT_NOT_FINITE, "the model's logits are not finite")
        .expected("finite values", found)
}

fn unsuitable(cause: Remedy, what: &str) -> LoadError {
    LoadError::refused(Phase::Request, cause, format!("{what} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    fn chosen(sampling: Sampling, logits: &[f32], times: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling).expect("in range");
        (0..times).map(|_| sampler.choose(logits).expect("finite")).collect()
    }

    #[test]
    fn shares_follow_the_softmax_at_its_temperature() {
        // A difference of ln 4 at temperature 2: one token is twice as likely as the other.
        let sampling = Sampling { temperature: 2.0, top_p: 1.0, seed: 5 };
        let ids = chosen(sampling, &[0.0, 4f32.ln()], 30_000);
        let share = ids.iter().filter(|id| **id == 1).count() as f64 / ids.len() as f64;
        assert!((share - 2.0 / 3.0).abs() < 0.01, "{share}");
    }

    #[test]
    fn only_the_fewest_that_reach_top_p_are_chosen() {
        // Probabilities 0.5, 0.3, 0.2.
        let logits = [0.2f32.ln(), 0.5f32.ln(), 0.3f32.ln()];
        let with = |top_p| {
            let sampling = Sampling { temperature: 1.0, top_p, seed: 9 };
            let mut ids = chosen(sampling, &logits, 400);
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        assert_eq!(with(0.4), [1]);
        assert_eq!(with(0.6), [1, 2]);
        assert_eq!(with(0.9), [0, 1, 2]);
    }

    #[test]
    fn tokens_at_minus_infinity_are_not_chosen() {
        let logits = [f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY, 1.0];
        let sampling = Sampling { temperature: 5.0, top_p: 1.0, seed: 3 };
        let mut sampler = Sampler::new(sampling).expect("in range");
        let ids: Vec<u32> = (0..100).map(|_| sampler.pick(&logits)).collect();
        assert!(ids.contains(&1) && ids.contains(&3) && ids.iter().all(|id| id % 2 == 1));
        assert_eq!(sampler.pick(&[f32::NEG_INFINITY; 3]), 0);
    }

    #[test]
    fn the_seed_decides_and_nothing_else() {
        let with = |seed| chosen(Sampling { temperature: 1.0, top_p: 1.0, seed }, &[0.0; 50], 40);
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
    }

    #[test]
    fn the_lowest_of_equals_is_most_likely_and_nan_is_refused() {
        assert_eq!(most_likely(&[1.0, 3.0, 3.0]), Ok(1));
        let error = most_likely(&[1.0, f32::NAN]).expect_err("NaN");
        assert_eq!(error.code(), Code::OutputNotFinite);
        for (temperature, top_p) in [(-1.0, 1.0), (f32::NAN, 1.0), (1.0, 0.0), (1.0, 1.5)] {
            assert!(Sampler::new(Sampling { temperature, top_p, seed: 0 }).is_err());
        }
    }
}
