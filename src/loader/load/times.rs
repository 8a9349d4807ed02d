//! Measures the time of each step of a load. Each interval counts for exactly one step.

use std::time::{Duration, Instant};

use crate::contract::plan::{LoadStep, LoadTimes};

/// The stopwatch.
#[derive(Debug)]
pub struct Watch {
    began: Instant,
    last: Instant,
    taken: [Duration; LoadStep::ALL.len()],
}

impl Watch {
    /// Starts it.
    pub fn start() -> Self {
        let now = Instant::now();
        Watch { began: now, last: now, taken: Default::default() }
    }

    /// Adds the time since the last lap, or since the start, to a step.
    pub fn lap(&mut self, step: LoadStep) {
        let now = Instant::now();
        self.taken[step as usize] += now - self.last;
        self.last = now;
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns the time of each step. `overlapped` names the steps that also ran during other
    /// steps.
    pub fn times(&self, overlapped: Vec<LoadStep>) -> LoadTimes {
        let of = |step: LoadStep| {
            u64::try_from(self.taken[step as usize].as_micros()).unwrap_or(u64::MAX)
        };
        LoadTimes {
            parse_us: of(LoadStep::Parse),
            allocate_us: of(LoadStep::Allocate),
            read_and_hash_us: of(LoadStep::ReadAndHash),
            check_weights_us: of(LoadStep::CheckWeights),
            copy_us: of(LoadStep::Copy),
            register_us: of(LoadStep::Register),
            overlapped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_counts_once() {
        let mut watch = Watch::start();
        for (step, milliseconds) in [
            (LoadStep::Parse, 3),
            (LoadStep::Allocate, 1),
            (LoadStep::Parse, 4),
            (LoadStep::Register, 2),
        ] {
            std::thread::sleep(Duration::from_millis(milliseconds));
            watch.lap(step);
        }
        let all = watch.elapsed().as_micros() as u64;
        let times = watch.times(vec![LoadStep::Copy]);
        assert!(times.parse_us >= 7000 && times.allocate_us >= 1000 && times.register_us >= 2000);
        assert_eq!((times.read_and_hash_us, times.check_weights_us, times.copy_us), (0, 0, 0));
        assert!(times.sum_us() <= all && all - times.sum_us() < 1000, "{times:?} of {all}");
    }
}
