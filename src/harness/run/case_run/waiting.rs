//! The waiting budget of a run: how long the judge waits for the loader's answers in all.
//!
//! A loader that answers every request just before its patience ends would otherwise hold the judge for days.
//! The budget follows from the plan, or is given; never from what the loader says.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::harness::record::NOT_TRIED;

/// In every budget: a run of a few cases may be slow.
const FIXED: Duration = Duration::from_secs(600);

/// So many cases bring one patience more. Loaders of the public libraries wait two seconds a case on an H100,
/// and the usual patience is thirty.
const CASES: u32 = 4;

/// What a run may wait, and what it has waited, all its workers together.
#[derive(Debug, Default)]
pub struct Waiting {
    budget: OnceLock<Duration>,
    spent_us: AtomicU64,
}

impl Waiting {
    /// The budget of a run of so many cases.
    pub fn usual(patience: Duration, cases: usize) -> Duration {
        let cases = u32::try_from(cases).unwrap_or(u32::MAX).div_ceil(CASES);
        FIXED.saturating_add(patience.saturating_mul(cases))
    }

    /// Sets the budget; the first one stays.
    pub fn allow(&self, budget: Duration) {
        self.budget.get_or_init(|| budget);
    }

    /// The budget; `None` where nobody has set one.
    pub fn budget(&self) -> Option<Duration> {
        self.budget.get().copied()
    }

    /// Adds a wait.
    pub fn spend(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let add = |spent: u64| Some(spent.saturating_add(us));
        let _before = self.spent_us.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// What was waited so far.
    pub fn spent(&self) -> Duration {
        Duration::from_micros(self.spent_us.load(Ordering::Relaxed))
    }

    /// Why nothing more is asked, if the budget is spent.
    pub fn over(&self) -> Option<String> {
        let budget = self.budget().filter(|budget| self.spent() > *budget)?;
        let seconds = budget.as_secs_f64();
        Some(format!("{NOT_TRIED}the loader has spent the run's waiting budget of {seconds} s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_follows_from_the_plan_and_ends() {
        let usual = Waiting::usual(Duration::from_secs(30), 1100);
        assert_eq!(usual, Duration::from_secs(600 + 30 * 275));
        assert_eq!(Waiting::usual(Duration::MAX, usize::MAX), Duration::MAX);
        let waiting = Waiting::default();
        waiting.spend(Duration::MAX);
        assert_eq!(waiting.over(), None, "nobody has set a budget");
        let waiting = Waiting::default();
        waiting.allow(Duration::from_secs(2));
        waiting.allow(Duration::from_secs(9));
        waiting.spend(Duration::from_secs(2));
        assert_eq!(waiting.over(), None);
        waiting.spend(Duration::from_micros(1));
        assert!(waiting.over().unwrap().contains("budget of 2 s"));
    }
}
