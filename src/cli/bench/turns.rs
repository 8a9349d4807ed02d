//! Whose turn it is: which arm of a round loads next, whether another round begins, and when a card is ready for it.

use std::thread;
use std::time::{Duration, Instant};

use crate::contract::Device;

/// Bytes a second that a card is trusted to clear. An H200 clears 430 GB a second (docs/performance.md).
const CLEARED: f64 = 200e9;

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

/// Waits until what was unloaded is no longer in the way. The driver clears freed memory after the call that frees it
/// has returned. Copies to the card take twice as long meanwhile, so they would be part of another arm's time.
pub fn settle(device: Device, unloaded: u64) {
    if device.is_gpu() {
        thread::sleep(clearing(unloaded));
    }
}

/// A time in which a card has cleared so many bytes.
fn clearing(bytes: u64) -> Duration {
    Duration::from_millis(20) + Duration::from_secs_f64(bytes as f64 / CLEARED)
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
    fn a_card_has_twice_the_time_that_it_was_seen_to_need() {
        for (gigabytes, seen_ms) in [(3, 8), (30, 70), (60, 140)] {
            let bytes = gigabytes * 1_000_000_000;
            assert!(clearing(bytes) >= Duration::from_millis(seen_ms) * 2, "{gigabytes} GB");
        }
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
