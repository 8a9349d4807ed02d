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
