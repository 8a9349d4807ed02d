//! Whose turn it is: which arm of a round loads next, and whether another round begins.

use std::time::Instant;

/// Decides whether another round of loads begins.
pub struct Rounds {
    end: Option<Instant>,
    began: Instant,
}

impl Rounds {
    /// Rounds that begin only if they should end by then.
    pub fn until(end: Option<Instant>) -> Rounds {
        Rounds { end, began: Instant::now() }
    }

    /// Whether this round begins: the first timed one does, and others that should end in time if they take as long as
    /// the one before.
    pub fn begins(&mut self, round: u32) -> bool {
        let (now, last) = (Instant::now(), self.began.elapsed());
        self.began = now;
        round <= 1 || self.end.is_none_or(|end| now + last <= end)
    }
}

/// The arm that has this turn. Each round begins with another arm, and every second round goes
/// backwards. Otherwise a disk that is fast for a limited time would favour the arm after a slow
/// reader.
pub fn whose(turn: usize, round: u32, arms: usize) -> usize {
    let turn = if round.is_multiple_of(2) { turn } else { arms - 1 - turn };
    (turn + round as usize) % arms
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn everybody_has_a_turn_each_round() {
        for arms in 1..9 {
            for round in 0..9 {
                let all: BTreeSet<usize> = (0..arms).map(|turn| whose(turn, round, arms)).collect();
                assert_eq!(all.len(), arms);
            }
        }
        assert_ne!(whose(0, 1, 3), whose(0, 2, 3));
    }

    #[test]
    fn one_timed_round_begins_at_least_and_none_that_would_be_late() {
        let hour = std::time::Duration::from_secs(3600);
        let count = |end| {
            let mut rounds = Rounds::until(end);
            (0..=5).take_while(|round| rounds.begins(*round)).count()
        };
        let now = Instant::now();
        assert_eq!(count(Some(now)), 2, "the untimed one, and one more");
        assert_eq!([count(None), count(Some(now + hour))], [6, 6]);
        // The round before took longer than what is left.
        let began = now.checked_sub(hour * 2);
        let mut rounds = Rounds { end: Some(now + hour), began: began.unwrap_or(now) };
        assert!(began.is_none() || !rounds.begins(2));
    }
}
