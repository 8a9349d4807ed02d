//! The events by which sampled tokens are judged: how likely a token was, what came before it, and
//! which it is.

use super::allowed::Allowed;
use super::echoes::Echoes;
use super::shares::Share;
use crate::contract::generation::Sampling;
use crate::harness::run::step::oracle_logits::OracleLogits;

/// Tokens by falling probability are put into groups of at least this probability.
const GROUP: f64 = 0.125;
/// Most groups.
const GROUPS: usize = 8;

/// All draws of a step.
pub struct Draws {
    groups: Vec<Share>,
    first: Share,
    first_best: Share,
    seen: Share,
    end: Share,
    last: Share,
    first_id: Share,
    last_id: Share,
    echoes: Echoes,
}

impl Draws {
    /// None yet.
    pub fn new() -> Draws {
        let group = |n| Share::of(format!("tokens of group {n} of {GROUPS} by probability"));
        Draws {
            groups: (1..=GROUPS).map(group).collect(),
            first: Share::of("likely tokens in the first place"),
            first_best: Share::of("the most likely tokens in the first place"),
            seen: Share::of("tokens that were there before"),
            end: Share::of("end tokens"),
            last: Share::of("the least likely tokens that are allowed"),
            first_id: Share::of("the first token of the vocabulary"),
            last_id: Share::of("the last token of the vocabulary"),
            echoes: Echoes::new(),
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
        let mut chance = 0.0;
        self.echoes.begin();
        for (at, (token, logits)) in tokens.iter().zip(&wanted.rows).enumerate() {
            let Some(allowed) = Allowed::of(logits, sampling, wanted.close) else {
                self.echoes.leave_out();
                continue;
            };
            let (place, doubt) = (allowed.place(*token), allowed.doubt);
            chance += allowed.tokens.get(place).map_or(0.0, |(_, share)| share.ln());
            self.grouped(place, &allowed);
            if at == 0 {
                let (count, share) = allowed.likely();
                self.first.add(place < count, share, doubt);
                let best = allowed.tokens.first().map_or(0.0, |(_, share)| *share);
                self.first_best.add(place == 0, best, doubt);
            }
            self.echoes.add(tokens, &allowed);
            let one_of = |event: &mut Share, holds: &dyn Fn(u32) -> bool| {
                event.add(holds(*token), allowed.chance(holds), doubt);
            };
            one_of(&mut self.seen, &|id| prompt.contains(&id) || tokens[..at].contains(&id));
            one_of(&mut self.end, &|id| ends.contains(&id));
            one_of(&mut self.first_id, &|id| id == 0);
            one_of(&mut self.last_id, &|id| id as usize + 1 == logits.len());
            if let [_, .., (last, _)] = allowed.possible() {
                one_of(&mut self.last, &|id| id == *last);
            }
        }
        chance
    }

    /// Adds a draw to the groups by probability.
    fn grouped(&mut self, place: usize, allowed: &Allowed) {
        let (mut begin, mut sum, mut group) = (0, 0.0, 0);
        for (end, (_, share)) in allowed.tokens.iter().enumerate() {
            sum += share;
            let full = sum >= GROUP && group + 1 < GROUPS;
            if full || end + 1 == allowed.tokens.len() {
                self.groups[group].add((begin..=end).contains(&place), sum, allowed.doubt);
                (begin, sum, group) = (end + 1, 0.0, group + 1);
            }
        }
    }

    /// How many draws were judged.
    pub fn count(&self) -> u64 {
        self.groups[0].draws
    }

    /// Every event.
    pub fn shares(self) -> Vec<Share> {
        let Draws { mut groups, first, first_best, seen, end, last, first_id, last_id, echoes } =
            self;
        groups.extend([first, first_best, seen, end, last, first_id, last_id]);
        groups.extend(echoes.shares());
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
