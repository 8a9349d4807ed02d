//! The events that tell whether draws depend on each other, within an answer and from one answer to
//! the next, and whether some tokens never come.

use std::collections::BTreeSet;

use super::allowed::Allowed;
use super::shares::Share;

/// Distances at which a draw may repeat an earlier one: buffers have such lengths.
const DISTANCES: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// What came before, and how often it came again.
pub struct Echoes {
    after_likely: Vec<(usize, Share)>,
    as_before: Share,
    as_before_later: Share,
    first_again: Share,
    again: Share,
    new_token: Share,
    new_place: Share,
    /// Which tokens of the answer before were likely.
    before: Vec<bool>,
    /// The same of this answer.
    own: Vec<bool>,
    /// The first token of the answer before.
    first: Option<u32>,
    /// The tokens of all answers.
    tokens: BTreeSet<u32>,
    /// Their places by falling probability.
    places: BTreeSet<usize>,
}

impl Echoes {
    /// Nothing yet.
    pub fn new() -> Echoes {
        let after = |distance: usize| match distance {
            1 => Share::of("likely tokens after a likely one"),
            _ => Share::of(format!("likely tokens {distance} places after a likely one")),
        };
        Echoes {
            after_likely: DISTANCES.map(|distance| (distance, after(distance))).into(),
            as_before: Share::of("likely tokens where the answer before had one"),
            as_before_later: Share::of(
                "likely tokens where the answer before had one a place later",
            ),
            first_again: Share::of("the first token of the answer before in the first place"),
            again: Share::of("the token before once more"),
            new_token: Share::of("tokens that no draw had given"),
            new_place: Share::of("places by probability from which no draw had come"),
            before: Vec::new(),
            own: Vec::new(),
            first: None,
            tokens: BTreeSet::new(),
            places: BTreeSet::new(),
        }
    }

    /// Begins an answer.
    pub fn begin(&mut self) {
        self.before = std::mem::take(&mut self.own);
    }

    /// Leaves a draw out.
    pub fn leave_out(&mut self) {
        self.own.push(false);
    }

    /// Adds the next draw of an answer, of which `tokens` are all.
    pub fn add(&mut self, tokens: &[u32], allowed: &Allowed) {
        let (at, doubt) = (self.own.len(), allowed.doubt);
        let token = tokens[at];
        let place = allowed.place(token);
        let (count, share) = allowed.likely();
        let likely = place < count;
        for (distance, after) in &mut self.after_likely {
            if at.checked_sub(*distance).is_some_and(|earlier| self.own[earlier]) {
                after.add(likely, share, doubt);
            }
        }
        if self.before.get(at) == Some(&true) {
            self.as_before.add(likely, share, doubt);
        }
        if self.before.get(at + 1) == Some(&true) {
            self.as_before_later.add(likely, share, doubt);
        }
        self.own.push(likely);
        let same = |event: &mut Share, other: u32| {
            event.add(token == other, allowed.chance(|id| id == other), doubt);
        };
        match at.checked_sub(1) {
            Some(earlier) => same(&mut self.again, tokens[earlier]),
            None => {
                if let Some(first) = self.first.replace(token) {
                    same(&mut self.first_again, first);
                }
            }
        }
        let seen = &self.tokens;
        let new = allowed.chance(|id| !seen.contains(&id));
        self.new_token.add(!seen.contains(&token), new, doubt);
        self.tokens.insert(token);
        let unused = |place: &usize| !self.places.contains(place);
        let shares = allowed.tokens.iter().enumerate();
        let new: f64 = shares.filter(|(place, _)| unused(place)).map(|(_, (_, share))| share).sum();
        self.new_place.add(unused(&place), new, doubt);
        self.places.insert(place);
    }

    /// Every event.
    pub fn shares(self) -> impl Iterator<Item = Share> {
        let Echoes { as_before, as_before_later, first_again, again, new_token, new_place, .. } =
            self;
        let others = [as_before, as_before_later, first_again, again, new_token, new_place];
        self.after_likely.into_iter().map(|(_, share)| share).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt, SeedableRng};

    use super::super::shares::far_off;
    use super::*;
    use crate::contract::generation::Sampling;

    const ANSWERS: usize = 60;
    const TOKENS: usize = 40;

    /// Draws answers from one distribution over sixty tokens, each token by `number` from an answer's
    /// number, a place and numbers that are right. Returns the events that are far off.
    fn after(number: impl Fn(usize, usize, &dyn Fn(usize, usize) -> f64) -> f64) -> Vec<String> {
        let logits: Vec<f64> = (0..60).map(|id| -0.05 * f64::from(id)).collect();
        let plain = Sampling { temperature: 1.0, top_p: 1.0, seed: 0 };
        let allowed = Allowed::of(&logits, &plain, 0.0).unwrap();
        let right = |answer: usize, place: usize| {
            let seed = (answer * 1000 + place) as u64;
            Xoshiro256PlusPlus::seed_from_u64(seed).random_range(0.0..1.0)
        };
        let at = |number: f64| {
            let mut left = number;
            let reached = allowed.tokens.iter().find(|(_, share)| {
                left -= share;
                left < 0.0
            });
            reached.or(allowed.tokens.last()).unwrap().0
        };
        let mut echoes = Echoes::new();
        for answer in 0..ANSWERS {
            let tokens: Vec<u32> =
                (0..TOKENS).map(|place| at(number(answer, place, &right))).collect();
            echoes.begin();
            tokens.iter().for_each(|_| echoes.add(&tokens, &allowed));
        }
        let far = echoes.shares().filter(|share| far_off(std::slice::from_ref(share)).is_some());
        far.map(|share| share.what).collect()
    }

    #[test]
    fn draws_without_an_echo_are_right() {
        for of in 0..20 {
            assert_eq!(after(|answer, place, right| right(answer + 100 * of, place)), [""; 0]);
        }
    }

    #[test]
    fn each_kind_of_echo_is_noticed() {
        let has = |found: Vec<String>, what: &str| {
            assert!(found.iter().any(|one| one == what), "no {what:?} in {found:?}");
        };
        let twice = after(|answer, place, right| right(answer, place / 2));
        has(twice, "likely tokens after a likely one");
        for distance in [8, 16, 32] {
            let buffer = after(|answer, place, right| right(answer, place % 8));
            has(buffer, &format!("likely tokens {distance} places after a likely one"));
        }
        let kept = after(|answer, place, right| right(answer / 2, place));
        has(kept, "likely tokens where the answer before had one");
        let moved = after(|answer, place, right| right(answer + place, 0));
        has(moved, "likely tokens where the answer before had one a place later");
        let first =
            after(|answer, place, right| if place == 0 { 0.3 } else { right(answer, place) });
        has(first, "the first token of the answer before in the first place");
        let others = after(|answer, place, right| {
            // Another number where the token would be that of the place before, if that was its own.
            let (last, own) = (right(answer, place.max(1) - 1), right(answer, place));
            if (last - own).abs() < 0.05 { (own + 0.3) % 1.0 } else { own }
        });
        has(others, "the token before once more");
        for what in
            ["tokens that no draw had given", "places by probability from which no draw had come"]
        {
            let coarse = after(|answer, place, right| (right(answer, place) * 16.0).floor() / 16.0);
            has(coarse, what);
        }
    }

    /// A gap in the draws is no draw that was likely.
    #[test]
    fn what_is_left_out_echoes_nothing() {
        let plain = Sampling { temperature: 1.0, top_p: 1.0, seed: 0 };
        let allowed = Allowed::of(&[1.0, 0.0], &plain, 0.0).unwrap();
        let mut echoes = Echoes::new();
        for _ in 0..2 {
            echoes.begin();
            echoes.add(&[0, 0, 0], &allowed);
            echoes.leave_out();
            echoes.add(&[0, 0, 0], &allowed);
        }
        let draws = |what: &str| {
            let found = [&echoes.as_before, &echoes.as_before_later, &echoes.again];
            let after = echoes.after_likely.iter().map(|(_, share)| share);
            after.chain(found).find(|share| share.what == what).map(|share| share.draws)
        };
        assert_eq!(draws("likely tokens after a likely one"), Some(0));
        assert_eq!(draws("likely tokens 2 places after a likely one"), Some(2));
        assert_eq!(draws("likely tokens where the answer before had one"), Some(2));
        assert_eq!(draws("likely tokens where the answer before had one a place later"), Some(0));
        assert_eq!(draws("the token before once more"), Some(2));
    }
}
