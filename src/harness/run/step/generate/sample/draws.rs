//! The events by which sampled tokens are judged: how likely a token was, what came before it, and
//! which it is.

use super::shares::Share;
use crate::contract::generation::Sampling;
use crate::harness::run::step::oracle_logits::{OracleLogits, largest, slack};

/// Tokens by falling probability are put into groups of at least this probability.
const GROUP: f64 = 0.125;
/// Most groups.
const GROUPS: usize = 8;
/// A draw whose last allowed token is this close to the limit is left out.
const CLOSE: f64 = 1e-4;

/// The tokens that may be drawn, by falling probability, with their probabilities.
struct Allowed {
    tokens: Vec<(u32, f64)>,
    /// Share by which a loader's own probabilities may differ.
    doubt: f64,
}

impl Allowed {
    /// What a sampling allows of these logits; `None` where F32 may decide about a token.
    fn of(logits: &[f64], sampling: &Sampling, close: f64) -> Option<Allowed> {
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
    fn place(&self, token: u32) -> usize {
        self.tokens.iter().position(|(id, _)| *id == token).unwrap_or(self.tokens.len())
    }

    /// How many of the most likely tokens have half of the probability, and how much they have.
    fn likely(&self) -> (usize, f64) {
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
    fn chance(&self, holds: impl Fn(u32) -> bool) -> f64 {
        self.tokens.iter().filter(|(id, _)| holds(*id)).map(|(_, share)| share).sum()
    }
}

/// All draws of a step.
pub struct Draws {
    groups: Vec<Share>,
    first: Share,
    first_best: Share,
    after_likely: Share,
    as_before: Share,
    seen: Share,
    end: Share,
    last: Share,
    /// Which tokens of the answer before were likely.
    before: Vec<bool>,
}

impl Draws {
    /// None yet.
    pub fn new() -> Draws {
        let group = |n| Share::of(format!("tokens of group {n} of {GROUPS} by probability"));
        Draws {
            groups: (1..=GROUPS).map(group).collect(),
            first: Share::of("likely tokens in the first place"),
            first_best: Share::of("the most likely tokens in the first place"),
            after_likely: Share::of("likely tokens after a likely one"),
            as_before: Share::of("likely tokens where the answer before had one"),
            seen: Share::of("tokens that were there before"),
            end: Share::of("end tokens"),
            last: Share::of("the last tokens that top_p allows"),
            before: Vec::new(),
        }
    }

    /// Adds an answer. Returns the logarithm of its probability.
    pub fn add(
        &mut self,
        (prompt, tokens): (&[u32], &[u32]),
        wanted: &OracleLogits,
        sampling: &Sampling,
        ends: &[u32],
    ) -> f64 {
        let (mut own, mut chance) = (Vec::new(), 0.0);
        for (at, (token, logits)) in tokens.iter().zip(&wanted.rows).enumerate() {
            let Some(allowed) = Allowed::of(logits, sampling, wanted.close) else {
                own.push(false);
                continue;
            };
            let (place, doubt) = (allowed.place(*token), allowed.doubt);
            chance += allowed.tokens.get(place).map_or(0.0, |(_, share)| share.ln());
            let (mut begin, mut sum, mut group) = (0, 0.0, 0);
            for (end, (_, share)) in allowed.tokens.iter().enumerate() {
                sum += share;
                let full = sum >= GROUP && group + 1 < GROUPS;
                if full || end + 1 == allowed.tokens.len() {
                    self.groups[group].add((begin..=end).contains(&place), sum, doubt);
                    (begin, sum, group) = (end + 1, 0.0, group + 1);
                }
            }
            let (count, share) = allowed.likely();
            let likely = place < count;
            if at == 0 {
                self.first.add(likely, share, doubt);
                let best = allowed.tokens.first().map_or(0.0, |(_, share)| *share);
                self.first_best.add(place == 0, best, doubt);
            }
            if at > 0 && own.last() == Some(&true) {
                self.after_likely.add(likely, share, doubt);
            }
            if self.before.get(at) == Some(&true) {
                self.as_before.add(likely, share, doubt);
            }
            own.push(likely);
            let there = |id: u32| prompt.contains(&id) || tokens[..at].contains(&id);
            self.seen.add(there(*token), allowed.chance(there), doubt);
            self.end.add(ends.contains(token), allowed.chance(|id| ends.contains(&id)), doubt);
            if sampling.top_p < 1.0
                && allowed.tokens.len() > 1
                && let Some((last, share)) = allowed.tokens.last()
            {
                self.last.add(last == token, *share, doubt);
            }
        }
        self.before = own;
        chance
    }

    /// How many draws were judged.
    pub fn count(&self) -> u64 {
        self.groups[0].draws
    }

    /// Every event.
    pub fn shares(self) -> Vec<Share> {
        let Draws {
            mut groups, first, first_best, after_likely, as_before, seen, end, last, ..
        } = self;
        groups.extend([first, first_best, after_likely, as_before, seen, end, last]);
        groups
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::harness::run::step::generate::sample::shares::far_off;

    const PLAIN: Sampling = Sampling { temperature: 1.0, top_p: 1.0, seed: 0 };

    /// Draws answers of twenty tokens from random logits, each token by `drawn` from the allowed tokens
    /// and a random number. Returns the event that is far off.
    fn after(
        sampling: Sampling,
        drawn: impl Fn(&[(u32, f64)], f64, usize) -> u32,
    ) -> Option<String> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let mut draws = Draws::new();
        for _ in 0..150 {
            let rows: Vec<Vec<f64>> = (0..20)
                .map(|_| (0..60).map(|_| random.random_range(-4.0..4.0)).collect())
                .collect();
            let wanted = OracleLogits::made(rows);
            let draw = |(at, row): (usize, &Vec<f64>)| {
                let allowed = Allowed::of(row, &sampling, 0.0).map_or(Vec::new(), |all| all.tokens);
                let number = random.random_range(0.0..1.0);
                if allowed.is_empty() { 0 } else { drawn(&allowed, number, at) }
            };
            let tokens: Vec<u32> = wanted.rows.iter().enumerate().map(draw).collect();
            draws.add((&[1, 2, 3], &tokens), &wanted, &sampling, &[7]);
        }
        far_off(&draws.shares()).map(|far| far.what.clone())
    }

    /// The token at which the probabilities reach a number.
    fn at(allowed: &[(u32, f64)], number: f64) -> u32 {
        let mut left = number * allowed.iter().map(|(_, share)| share).sum::<f64>();
        let reached = allowed.iter().find(|(_, share)| {
            left -= share;
            left < 0.0
        });
        reached.or(allowed.last()).map_or(0, |(id, _)| *id)
    }

    #[test]
    fn tokens_by_their_probabilities_are_right() {
        let cut = Sampling { top_p: 0.6, ..PLAIN };
        let hot = Sampling { temperature: 3.0, ..PLAIN };
        for sampling in [PLAIN, cut, hot] {
            assert_eq!(after(sampling, |allowed, number, _| at(allowed, number)), None);
        }
    }

    #[test]
    fn other_ways_to_draw_are_noticed() {
        let first = after(
            PLAIN,
            |allowed, number, step| {
                if step == 0 { allowed[0].0 } else { at(allowed, number) }
            },
        );
        assert_eq!(first.as_deref(), Some("the most likely tokens in the first place"));
        assert!(after(PLAIN, |allowed, number, _| at(&allowed[..20], number)).is_some());
        assert!(after(PLAIN, |allowed, _, step| at(allowed, step as f64 / 20.0)).is_some());
        let never = after(PLAIN, |allowed, number, _| match at(allowed, number) {
            7 => allowed[0].0,
            other => other,
        });
        assert_eq!(never.as_deref(), Some("end tokens"));
        let cut = Sampling { top_p: 0.6, ..PLAIN };
        assert!(
            after(cut, |allowed, number, _| { at(&allowed[..(allowed.len() - 1).max(1)], number) })
                .is_some()
        );
    }
}
