//! The tokens that a sampling allows after some tokens, with their probabilities by the oracle.

use crate::contract::generation::Sampling;
use crate::harness::run::step::oracle_logits::{largest, slack};

/// A draw whose last allowed token is this close to the limit is left out.
const CLOSE: f64 = 1e-4;

/// The tokens that may be drawn, by falling probability, with their probabilities.
pub struct Allowed {
    /// An id and its probability.
    pub tokens: Vec<(u32, f64)>,
    /// Share by which a loader's own probabilities may differ.
    pub doubt: f64,
}

impl Allowed {
    /// What a sampling allows of these logits; `None` where F32 may decide about a token.
    pub fn of(logits: &[f64], sampling: &Sampling, close: f64) -> Option<Allowed> {
        let (most, temperature) = (largest(logits), f64::from(sampling.temperature));
        let weight = |logit: &f64| ((logit - most) / temperature).exp();
        let mut tokens: Vec<(u32, f64)> =
            logits.iter().enumerate().map(|(id, logit)| (id as u32, weight(logit))).collect();
        tokens.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let total: f64 = tokens.iter().map(|(_, weight)| weight).sum();
        let limit = f64::from(sampling.top_p);
        if limit < 1.0 {
            let mut sum = 0.0;
            let kept = tokens.iter().take_while(|(_, weight)| {
                let more = sum < limit;
                sum += weight / total;
                more
            });
            let kept = kept.count();
            let before: f64 = tokens[..kept - 1].iter().map(|(_, weight)| weight / total).sum();
            let with = before + tokens[kept - 1].1 / total;
            if (before - limit).abs() < CLOSE || (with - limit).abs() < CLOSE {
                return None;
            }
            tokens.truncate(kept);
        }
        let total: f64 = tokens.iter().map(|(_, weight)| weight).sum();
        tokens.iter_mut().for_each(|(_, weight)| *weight /= total);
        Some(Allowed { tokens, doubt: (slack(logits, close) / temperature).exp_m1() })
    }

    /// The place of a token; the number of tokens if it is not allowed.
    pub fn place(&self, token: u32) -> usize {
        self.tokens.iter().position(|(id, _)| *id == token).unwrap_or(self.tokens.len())
    }

    /// The tokens that have a probability at all.
    pub fn possible(&self) -> &[(u32, f64)] {
        &self.tokens[..self.tokens.partition_point(|(_, share)| *share > 0.0)]
    }

    /// How many of the most likely tokens have half of the probability, and how much they have.
    pub fn likely(&self) -> (usize, f64) {
        let mut sum = 0.0;
        for (place, (_, share)) in self.tokens.iter().enumerate() {
            sum += share;
            if sum >= 0.5 {
                return (place + 1, sum);
            }
        }
        (self.tokens.len(), sum)
    }

    /// The probability of the tokens of a set.
    pub fn chance(&self, holds: impl Fn(u32) -> bool) -> f64 {
        self.tokens.iter().filter(|(id, _)| holds(*id)).map(|(_, share)| share).sum()
    }
}
