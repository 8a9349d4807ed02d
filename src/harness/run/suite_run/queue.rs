//! The queue of cases that may run at the same time. It gives a case to a worker as soon as the
//! memory that the case needs is free.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::demand::Demand;
use crate::harness::case::Case;

/// Cases that wait, and the memory that running cases need.
pub struct Queue<'a> {
    state: Mutex<State<'a>>,
    freed: Condvar,
    room: Demand,
    /// Free memory of the device at this moment, in bytes; `None` if it is not known.
    free_now: &'a (dyn Fn() -> Option<u64> + Sync),
}

struct State<'a> {
    waiting: Vec<(&'a Case, Demand)>,
    taken: Demand,
    running: usize,
    waited: Duration,
}

impl<'a> Queue<'a> {
    /// A queue over cases, each with its demand, in a machine with so much free memory. Cases with more
    /// data come first, because the last one to run decides how long the run takes.
    pub fn new(
        mut cases: Vec<(&'a Case, Demand)>,
        room: Demand,
        free_now: &'a (dyn Fn() -> Option<u64> + Sync),
    ) -> Self {
        cases.sort_by_key(|(_, demand)| std::cmp::Reverse(demand.host_bytes >> 28));
        let state =
            State { waiting: cases, taken: Demand::default(), running: 0, waited: Duration::ZERO };
        Queue { state: Mutex::new(state), freed: Condvar::new(), room, free_now }
    }

    /// The next case that fits beside the running ones. Waits until one fits; `None` if no case is
    /// left. If nothing runs, the first case is given whatever it needs: the loader must refuse what
    /// does not fit.
    pub fn next(&self) -> Option<(&'a Case, Demand)> {
        let mut state = self.lock();
        loop {
            if state.waiting.is_empty() {
                return None;
            }
            if let Some(at) = self.fitting(&state) {
                let (case, demand) = state.waiting.remove(at);
                state.taken = state.taken.and(demand);
                state.running += 1;
                return Some((case, demand));
            }
            let begin = Instant::now();
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waited += begin.elapsed();
        }
    }

    /// A case has ended, and its memory is free again.
    pub fn done(&self, demand: Demand) {
        let mut state = self.lock();
        state.taken = state.taken.without(demand);
        state.running -= 1;
        self.freed.notify_all();
    }

    /// The time that workers waited for memory, all workers together.
    pub fn waited(&self) -> Duration {
        self.lock().waited
    }

    fn fitting(&self, state: &State<'a>) -> Option<usize> {
        if state.running == 0 {
            return Some(0);
        }
        let left = self.room.without(state.taken);
        // Another program may have taken memory since the run began.
        let free = (self.free_now)().unwrap_or(u64::MAX);
        let left = Demand { device_bytes: left.device_bytes.min(free), ..left };
        state.waiting.iter().position(|(_, demand)| demand.fits(left))
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let unknown = || None;
        let cases = vec![(a, of(6)), (b, of(6)), (c, of(3))];
        let queue = Queue::new(cases, of(10), &unknown);
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
        let four = || Some(4);
        let queue = Queue::new(vec![(a, of(5)), (b, of(5)), (c, of(4))], of(100), &four);
        // The first runs alone in any case; of the others only the one that fits beside it.
        let first = queue.next().unwrap();
        assert_eq!(first.0.id(), a.id());
        assert_eq!(queue.next().unwrap().0.id(), c.id());
    }
}
