//! Compares how often events came with the probabilities that the oracle gave them beforehand.
//!
//! The test needs no large number and no independence. An event's chance is known before each draw.
//! For any slope `s`, the product of `exp(s * hit) / (1 + chance * (exp(s) - 1))` over all draws
//! then has the mean 1, whatever the earlier draws decided about the later chances. By Markov's
//! inequality it exceeds `1 / a` with a probability of at most `a`. [`FALSE_ALARM`] is divided
//! evenly among all slopes of all events.

/// Largest probability that the tokens of a right loader are found wrong.
pub const FALSE_ALARM: f64 = 1e-9;

/// Small slopes notice small shifts of many draws, large ones large shifts of few draws.
const SLOPES: [f64; 12] = [-3.2, -1.6, -0.8, -0.4, -0.2, -0.1, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2];

/// How often an event came.
#[derive(Clone, Debug)]
pub struct Share {
    /// The event.
    pub what: String,
    /// Draws in which it could come.
    pub draws: u64,
    /// Draws in which it came.
    pub hits: u64,
    /// The sum of its chances.
    pub expected: f64,
    /// For each slope, the logarithm of the product, as far as it is beyond doubt.
    evidence: [f64; SLOPES.len()],
}

impl Share {
    /// An event that has not been tried.
    pub fn of(what: impl Into<String>) -> Share {
        let evidence = [0.0; SLOPES.len()];
        Share { what: what.into(), draws: 0, hits: 0, expected: 0.0, evidence }
    }

    /// Adds a draw in which the event had this chance. The loader's own chance may differ by the
    /// share `doubt`, because it computes in F32.
    pub fn add(&mut self, hit: bool, chance: f64, doubt: f64) {
        let chance = chance.clamp(0.0, 1.0);
        self.draws += 1;
        self.hits += u64::from(hit);
        self.expected += chance;
        for (slope, evidence) in SLOPES.iter().zip(&mut self.evidence) {
            let gain = if hit { *slope } else { 0.0 };
            let grown = chance * slope.exp_m1();
            // The logarithm's slope is steepest where its argument is smallest, at `exp(slope)`.
            let unsure = grown.abs() * doubt / slope.min(0.0).exp();
            *evidence += gain - grown.ln_1p() - unsure;
        }
    }

    /// The most telling logarithm.
    fn surprise(&self) -> f64 {
        self.evidence.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// The event that came too often or too rarely, if there is one.
pub fn far_off(shares: &[Share]) -> Option<&Share> {
    let tests = (shares.len() * SLOPES.len()) as f64;
    let limit = (tests / FALSE_ALARM).ln();
    let worst = shares.iter().max_by(|a, b| a.surprise().total_cmp(&b.surprise()))?;
    (worst.surprise() > limit).then_some(worst)
}

#[cfg(test)]
mod tests {
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// Draws an event of chance `real` where the oracle has said `chance`.
    fn drawn(times: usize, chance: f64, real: f64, seed: u64) -> Share {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut share = Share::of("an event");
        for _ in 0..times {
            share.add(random.random_bool(real), chance, 1e-4);
        }
        share
    }

    #[test]
    fn a_right_share_is_never_far_off() {
        for seed in 0..300 {
            let chance = (seed as f64 + 1.0) / 302.0;
            let share = drawn(2000, chance, chance, seed);
            assert!(far_off(std::slice::from_ref(&share)).is_none(), "{share:?}");
        }
    }

    #[test]
    fn a_wrong_share_is_far_off() {
        for (chance, real) in [(0.5, 0.6), (0.5, 0.4), (0.125, 0.2), (0.125, 0.06), (0.02, 0.0)] {
            let share = drawn(2500, chance, real, 7);
            let all = [drawn(2500, 0.3, 0.3, 8), share.clone()];
            assert_eq!(far_off(&all).map(|far| far.hits), Some(share.hits), "{share:?}");
        }
        assert!(far_off(&[]).is_none());
    }

    #[test]
    fn what_can_never_come_tells_at_once() {
        let mut share = Share::of("an event");
        for _ in 0..60 {
            share.add(true, 1e-6, 1e-4);
        }
        assert_eq!(far_off(&[share]).map(|far| far.draws), Some(60));
    }
}
