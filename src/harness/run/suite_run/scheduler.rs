//! Hands a plan's cases to workers and collects the records.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::demand::demand;
use super::fail_fast::FailFast;
use super::plan::{Plan, looks_back};
use super::prepare::prepare;
use super::queue::Queue;
use super::worker::{Session, Tally, Worker};
use crate::harness::case::Case;
use crate::harness::evidence::memory;
use crate::harness::record::CaseRecord;
use crate::harness::run::case_run::context::RunContext;
use crate::harness::run::case_run::room::Demand;

/// Gets every case as soon as it is decided.
pub trait Progress: Sync {
    /// A case begins.
    fn began(&self, _case: &Case) {}

    /// A case is decided.
    fn decided(&self, case: &CaseRecord);

    /// Whether no further case is to begin. Cases in progress go on.
    fn stopped(&self) -> bool {
        false
    }
}

/// The results of the scheduled cases.
pub struct Weighed {
    /// Every scheduled case, in the plan's order.
    pub cases: Vec<CaseRecord>,
    /// Loader processes started.
    pub processes: u64,
    /// Time that workers waited for memory, all workers together.
    pub waited: Duration,
}

/// Tries every scheduled case exactly once. `first` is a process that serves the first cases.
///
/// Cases that must run alone come last, one at a time, when no other worker is left. What they need is
/// made before, while the other cases run. After them come those that look back on the run.
pub fn weigh(
    context: &RunContext,
    plan: &Plan<'_>,
    first: Session,
    progress: &dyn Progress,
) -> Weighed {
    let tally = Tally::default();
    tally.processes.store(1, Ordering::Relaxed);
    let first = Mutex::new(Some(first));
    let (last, others): (Vec<&Case>, Vec<&Case>) =
        plan.scheduled.iter().copied().partition(|case| looks_back(case));
    let (alone, together): (Vec<&Case>, Vec<&Case>) =
        others.into_iter().partition(|case| case.alone);
    let records = Mutex::new(BTreeMap::new());
    let stop = FailFast::new(plan);
    let pool =
        Pool { context, tally: &tally, first: &first, records: &records, progress, stop: &stop };
    let over = AtomicBool::new(together.is_empty());
    let waited = std::thread::scope(|scope| {
        scope.spawn(|| prepare(&context.setting, &alone, &over));
        let waited = pool.work_off(together, context.setting.jobs);
        over.store(true, Ordering::Relaxed);
        waited
    });
    let waited = waited + pool.work_off(alone, 1) + pool.work_off(last, 1);
    let mut records = records.into_inner().unwrap_or_else(PoisonError::into_inner);
    let cases =
        plan.scheduled.iter().filter_map(|case| records.remove(&case.id())).collect::<Vec<_>>();
    debug_assert!(
        cases.len() == plan.scheduled.len() || progress.stopped(),
        "every scheduled case is decided"
    );
    Weighed { cases, processes: tally.processes.load(Ordering::Relaxed), waited }
}

/// What the workers of a run share.
struct Pool<'a> {
    context: &'a RunContext,
    tally: &'a Tally,
    /// A process for the worker that begins first.
    first: &'a Mutex<Option<Session>>,
    records: &'a Mutex<BTreeMap<String, CaseRecord>>,
    progress: &'a dyn Progress,
    stop: &'a FailFast<'a>,
}

impl Pool<'_> {
    /// Tries the cases with at most `jobs` workers. Returns the time that workers waited for memory,
    /// all workers together.
    fn work_off(&self, cases: Vec<&Case>, jobs: usize) -> Duration {
        let device = self.context.setting.device;
        let workers = jobs.clamp(1, cases.len().max(1));
        let given = self.context.given_bytes();
        let cases = cases.into_iter().map(|case| (case, demand(case, device, given))).collect();
        let free_now = || self.context.gpu().ok()?.memory().ok().map(|(free, _)| free as u64);
        let queue = Queue::new(cases, &self.context.setting.ledger, room(self.context), &free_now);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| self.work(&queue));
            }
        });
        queue.waited()
    }

    fn work(&self, queue: &Queue<'_>) {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut worker = Worker::new(self.context, self.tally).with(first);
        while let Some((case, demand)) = queue.next() {
            if self.progress.stopped() {
                queue.done(demand);
                break;
            }
            self.progress.began(case);
            let skipped = self.stop.skips(case, &self.context.setting);
            let record = skipped.unwrap_or_else(|| worker.try_case(case));
            queue.done(demand);
            self.stop.saw(&record);
            self.progress.decided(&record);
            let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            records.insert(record.id.clone(), record);
        }
        // Every verdict is recorded. If the process does not end, its owner kills it.
        let _ending = worker.end();
    }
}

/// The memory that cases may use together: what is free now, less a tenth for what no recipe tells.
/// What is not known does not limit.
fn room(context: &RunContext) -> Demand {
    let most = |free: Option<u64>| free.map_or(u64::MAX, |free| free - free / 10);
    let device = context.gpu().ok().and_then(|gpu| gpu.memory().ok()).map(|(free, _)| free as u64);
    Demand { device_bytes: most(device), host_bytes: most(memory::available()) }
}
