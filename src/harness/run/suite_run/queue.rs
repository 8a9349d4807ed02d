//! The queue of cases that may run at the same time. It gives a case to a worker as soon as the
//! memory that the case needs is free.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::harness::case::Case;
use crate::harness::run::case_run::room::{Demand, Ledger, Taken};

/// Cases that wait for a worker.
pub struct Queue<'a> {
    waiting: Mutex<Waiting<'a>>,
    /// What the running cases need, of this run and of others on the same card.
    ledger: &'a Ledger,
    room: Demand,
    /// Free memory of the device at this moment, in bytes; `None` if it is not known.
    free_now: &'a (dyn Fn() -> Option<u64> + Sync),
}

struct Waiting<'a> {
    cases: Vec<(&'a Case, Demand)>,
    waited: Duration,
}

impl<'a> Queue<'a> {
    /// A queue over cases, each with its demand, in a machine with so much memory. Cases with more data
    /// come first, because the last one to run decides how long the run takes.
    pub fn new(
        mut cases: Vec<(&'a Case, Demand)>,
        ledger: &'a Ledger,
        room: Demand,
        free_now: &'a (dyn Fn() -> Option<u64> + Sync),
    ) -> Self {
        cases.sort_by_key(|(_, demand)| std::cmp::Reverse(demand.host_bytes >> 28));
        let waiting = Mutex::new(Waiting { cases, waited: Duration::ZERO });
        Queue { waiting, ledger, room, free_now }
    }

    /// The next case that fits beside the running ones. Waits until one fits; `None` if no case is
    /// left. If nothing runs, the first case is given whatever it needs: the loader must refuse what
    /// does not fit.
    pub fn next(&self) -> Option<(&'a Case, Demand)> {
        let mut taken = self.ledger.lock();
        loop {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.cases.is_empty() {
                return None;
            }
            if let Some(at) = self.fitting(&waiting, *taken) {
                let (case, demand) = waiting.cases.remove(at);
                taken.take(demand);
                return Some((case, demand));
            }
            drop(waiting);
            let begin = Instant::now();
            taken = self.ledger.wait(taken);
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.waited += begin.elapsed();
        }
    }

    /// A case has ended, and its memory is free again.
    pub fn done(&self, demand: Demand) {
        self.ledger.release(demand);
    }

    /// The time that workers waited for memory, all workers together.
    pub fn waited(&self) -> Duration {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).waited
    }

    fn fitting(&self, waiting: &Waiting<'a>, taken: Taken) -> Option<usize> {
        if taken.cases == 0 {
            return Some(0);
        }
        let left = self.room.without(taken.memory);
        // Another program may have taken memory since the run began.
        let free = (self.free_now)().unwrap_or(u64::MAX);
        let left = Demand { device_bytes: left.device_bytes.min(free), ..left };
        waiting.cases.iter().position(|(_, demand)| demand.fits(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::case::read::CaseSet;

    fn of(device_bytes: u64) -> Demand {
        Demand { device_bytes, host_bytes: 0 }
    }

    #[test]
    fn what_does_not_fit_waits_and_smaller_cases_overtake_it() {
        let set = CaseSet::embedded(&crate::mutants::names()).unwrap();
        let [a, b, c, ..] = set.cases() else { panic!("three cases") };
        let (unknown, ledger) = (|| None, Ledger::default());
        let cases = vec![(a, of(6)), (b, of(6)), (c, of(3))];
        let queue = Queue::new(cases, &ledger, of(10), &unknown);
        let first = queue.next().unwrap();
        let second = queue.next().unwrap();
        assert_eq!((first.0.id(), second.0.id()), (a.id(), c.id()));
        std::thread::scope(|scope| {
            let third = scope.spawn(|| queue.next().unwrap().0.id());
            queue.done(first.1);
            assert_eq!(third.join().unwrap(), b.id());
        });
        assert!(queue.next().is_none());
    }

    #[test]
    fn memory_that_others_have_taken_is_not_given() {
        let set = CaseSet::embedded(&crate::mutants::names()).unwrap();
        let [a, b, c, ..] = set.cases() else { panic!("three cases") };
        let (four, ledger) = (|| Some(4), Ledger::default());
        let queue = Queue::new(vec![(a, of(5)), (b, of(5)), (c, of(4))], &ledger, of(100), &four);
        // The first runs alone in any case; of the others only the one that fits beside it.
        let first = queue.next().unwrap();
        assert_eq!(first.0.id(), a.id());
        assert_eq!(queue.next().unwrap().0.id(), c.id());
    }
}
