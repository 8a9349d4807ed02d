//! Ends or stops the process of one rank, and judges what the loader answers then: the truth or an error, in time.
//!
//! A process that is to be hit while it works is stopped first, so that it cannot be ready before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::processes::{Known, Process, came, known, of_ranks};
use crate::contract::Failure;
use crate::contract::parallel::RankPart;
use crate::contract::request::{Request, Unload};
use crate::harness::case::divide::{Divide, Lose};
use crate::harness::client::GOODBYE;
use crate::harness::evidence::memory::share_of;
use crate::harness::family;
use crate::harness::record::{Basis, Check, NO_OBJECT};
use crate::harness::run::case_run::{CaseEnd, CaseRun, failure_claim, summary};
use crate::harness::run::step::slices;

/// How long a process is stopped before it is killed: a request is under way by then.
const BEFORE_ITS_END: Duration = Duration::from_millis(500);
/// How long a process is stopped that goes on.
const PAUSE: Duration = Duration::from_millis(1500);
/// How often new processes are looked for.
const LOOK: Duration = Duration::from_millis(1);

/// The loader's processes before a divided load.
pub struct Watch {
    lose: Lose,
    loader: u32,
    before: Known,
    /// The process that was hit during the load.
    hit: Option<Process>,
}

impl Watch {
    /// Notes them, where a rank is to be lost.
    pub fn begin(case_run: &CaseRun<'_>, step: &Divide) -> Result<Option<Watch>, CaseEnd> {
        let Some(lose) = step.lose else { return Ok(None) };
        let (loader, before) = (case_run.pid()?, known(&case_run.family()?));
        Ok(Some(Watch { lose, loader, before, hit: None }))
    }

    /// Asks for the load. Where the rank is to be lost meanwhile, the first process that comes is hit.
    pub fn while_loading<T>(&mut self, ask: impl FnOnce() -> T) -> T {
        if !self.lose.in_load() {
            return ask();
        }
        let (lose, loader, before) = (self.lose, self.loader, &self.before);
        let answered = AtomicBool::new(false);
        let (answer, hit) = thread::scope(|scope| {
            let hitting = scope.spawn(|| {
                while !answered.load(Ordering::Relaxed) {
                    if let Some(first) = came(before, &known(&family::below(loader))).first() {
                        stop(*first);
                        after_a_while(*first, lose);
                        return Some(*first);
                    }
                    thread::sleep(LOOK);
                }
                None
            });
            let answer = ask();
            answered.store(true, Ordering::Relaxed);
            (answer, hitting.join().unwrap_or_default())
        });
        self.hit = hit;
        answer
    }

    /// Judges a load that was refused because a process was hit. `false` where none was.
    pub fn refused(
        &self,
        case_run: &mut CaseRun<'_>,
        step: &Divide,
        failure: &Failure,
    ) -> Result<bool, CaseEnd> {
        if self.hit.is_none() {
            return Ok(false);
        }
        case_run.claim(failure_claim(failure));
        case_run.check(counted(1))?;
        let told = Ok(format!("an error: {}", summary(failure)));
        case_run.check(Check::judged("the load", "held, or an error", told, Basis::Observed))?;
        case_run.check_nothing_left()?;
        self.none_is_left(case_run, &self.ranks(case_run, step)?)?;
        Ok(true)
    }

    /// Loses a rank of a model that is held, and judges the answers to the next requests for it.
    pub fn afterwards(self, case_run: &mut CaseRun<'_>, step: &Divide) -> Result<(), CaseEnd> {
        let ranks = self.ranks(case_run, step)?;
        let Some(largest) = ranks.first().copied() else {
            return Err(CaseEnd::Untested(self.nothing(known(&case_run.family()?).len())));
        };
        if self.lose.in_load() && self.hit.is_none() {
            let why = "the processes of the ranks were not seen before the load was answered";
            return Err(CaseEnd::Untested(why.to_owned()));
        }
        case_run.check(counted(ranks.len()))?;
        let model = case_run.model(&step.name)?;
        let (handle, parts) = (model.handle, model.loaded.parts.clone());
        match self.lose {
            Lose::EndedInLoad | Lose::PausedInLoad => {
                let held = Check::judged(
                    "the load",
                    "held, or an error",
                    Ok(String::new()),
                    Basis::Observed,
                );
                case_run.check(held)?;
            }
            Lose::Ended => {
                end(largest);
                ask_each(case_run, step, handle, &parts)?;
            }
            Lose::EndedInRequest | Lose::PausedInRequest => {
                stop(largest);
                thread::scope(|scope| {
                    scope.spawn(|| after_a_while(largest, self.lose));
                    ask_each(case_run, step, handle, &parts)
                })?;
            }
        }
        case_run.loaded.remove(&step.name);
        // What it says does not matter: a loader may have given up the model before.
        let _unloaded = case_run.ask(Request::Unload(Unload { handle }), 0)?;
        case_run.check_nothing_left()?;
        self.none_is_left(case_run, &ranks)
    }

    /// The processes that came with the load and hold a rank.
    fn ranks(&self, case_run: &CaseRun<'_>, step: &Divide) -> Result<Vec<Process>, CaseEnd> {
        let came = came(&self.before, &known(&case_run.family()?));
        let payload = case_run.file(&step.file)?.fixture.payload_bytes();
        let ranks = u64::from(step.tp).saturating_mul(u64::from(step.pp)).max(1);
        Ok(of_ranks(&came, |one| share_of(one.pid), payload / ranks))
    }

    /// Why there is nothing to lose, where the loader has so many processes now.
    fn nothing(&self, now: usize) -> String {
        match (self.before.len(), now) {
            (1, 1) => format!("{NO_OBJECT}all ranks are one process, the loader's"),
            (before, now) => format!(
                "{NO_OBJECT}no process came with the load that holds a rank; the loader had {before} before \
                 and {now} after it"
            ),
        }
    }

    /// Where a process was ended, those of the other ranks end too.
    fn none_is_left(&self, case_run: &mut CaseRun<'_>, ranks: &[Process]) -> Result<(), CaseEnd> {
        if !self.lose.ends() {
            return Ok(());
        }
        let live = || ranks.iter().filter(|one| one.lives()).map(|one| one.pid).collect();
        let left = case_run.gathering(|_| family::outlasting(&live, GOODBYE)).len();
        let found = (left > 0).then(|| format!("{left} of {}", ranks.len()));
        case_run.check(Check::absent(
            "processes of ranks that are left",
            "none",
            found,
            Basis::Observed,
        ))
    }
}

/// Asks for the bytes of each rank.
fn ask_each(
    case_run: &mut CaseRun<'_>,
    step: &Divide,
    handle: u64,
    parts: &[RankPart],
) -> Result<(), CaseEnd> {
    parts.iter().try_for_each(|part| slices::compare_or_refused(case_run, &step.file, handle, part))
}

fn counted(number: usize) -> Check {
    Check::within("processes of ranks", "at least 1", number, Basis::Observed)
}

/// A process that has ended by itself is as lost as one that was killed.
fn stop(process: Process) {
    family::signal_to(process.pid, process.start, Signal::SIGSTOP);
}

fn after_a_while(process: Process, lose: Lose) {
    if lose.ends() {
        thread::sleep(BEFORE_ITS_END);
        end(process);
    } else {
        thread::sleep(PAUSE);
        family::signal_to(process.pid, process.start, Signal::SIGCONT);
    }
}

/// Kills a process, and waits until it is dead.
fn end(process: Process) {
    family::signal_to(process.pid, process.start, Signal::SIGKILL);
    let live = || process.lives().then_some(process.pid).into_iter().collect();
    family::outlasting(&live, GOODBYE);
}
