//! Hands a plan's cases to workers and collects the records.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use super::fail_fast::FailFast;
use super::plan::Plan;
use super::worker::{Tally, Worker};
use crate::harness::case::Case;
use crate::harness::record::CaseRecord;
use crate::harness::run::case_run::context::RunContext;

/// Hears of every case as soon as it is decided.
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

/// What a run saw.
pub struct Weighed {
    /// Every scheduled case, in the plan's order.
    pub cases: Vec<CaseRecord>,
    /// Loader processes started.
    pub processes: u64,
}

/// Tries every scheduled case exactly once.
///
/// Cases that must run alone come last, one at a time, when no other worker is left.
pub fn weigh(context: &RunContext, plan: &Plan<'_>, progress: &dyn Progress) -> Weighed {
    let tally = Tally::default();
    let (alone, together): (Vec<&Case>, Vec<&Case>) =
        plan.scheduled.iter().copied().partition(|case| case.alone);
    let records = Mutex::new(BTreeMap::new());
    let stop = FailFast::new(plan);
    work_off(context, &tally, together, context.setting.jobs, &records, progress, &stop);
    work_off(context, &tally, alone, 1, &records, progress, &stop);
    let mut records = records.into_inner().unwrap_or_else(PoisonError::into_inner);
    let cases =
        plan.scheduled.iter().filter_map(|case| records.remove(&case.id())).collect::<Vec<_>>();
    debug_assert!(
        cases.len() == plan.scheduled.len() || progress.stopped(),
        "every scheduled case is decided"
    );
    Weighed { cases, processes: tally.processes.load(Ordering::Relaxed) }
}

fn work_off(
    context: &RunContext,
    tally: &Tally,
    cases: Vec<&Case>,
    jobs: usize,
    records: &Mutex<BTreeMap<String, CaseRecord>>,
    progress: &dyn Progress,
    stop: &FailFast<'_>,
) {
    let workers = jobs.clamp(1, cases.len().max(1));
    let queue = Mutex::new(VecDeque::from(cases));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut worker = Worker::new(context, tally);
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(case) = next.filter(|_| !progress.stopped()) else { break };
                    progress.began(case);
                    let skipped = stop.skips(case, &context.setting);
                    let record = skipped.unwrap_or_else(|| worker.try_case(case));
                    stop.saw(&record);
                    progress.decided(&record);
                    records
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(record.id.clone(), record);
                }
                // Every verdict is in; a process that will not leave is killed by its owner.
                let _ending = worker.end();
            });
        }
    });
}
