//! Ends or stops the process of one rank, and judges what the loader answers then: the truth or an error, in time.
//!
//! A process that is to be hit while it works is stopped first, so that it cannot be ready before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::processes::{Known, Process, came, known, of_ranks};
use crate::contract::request::{Request, Unload};
use crate::contract::{Code, Device, Failure};
use crate::gpu;
use crate::harness::case::divide::{Divide, Lose};
use crate::harness::client::GOODBYE;
use crate::harness::evidence::memory::share_of;
use crate::harness::evidence::on_card::by_process;
use crate::harness::family;
use crate::harness::record::{Basis, Check, NO_OBJECT};
use crate::harness::run::case_run::words::plain;
use crate::harness::run::case_run::{CaseEnd, CaseRun, failure_claim, summary};
use crate::harness::run::step::slices;

/// How long a process is stopped before it is killed: a request is under way by then.
const BEFORE_ITS_END: Duration = Duration::from_millis(500);
/// How long a process is stopped that goes on.
const PAUSE: Duration = Duration::from_secs(2);
/// How often new processes are looked at.
const LOOK: Duration = Duration::from_millis(1);

/// The loader's processes before a divided load.
pub struct Watch {
    lose: Lose,
    loader: u32,
    /// Where ranks are loaded to.
    device: Device,
    before: Known,
    /// Bytes of a rank.
    rank_bytes: u64,
    /// The process that was hit during the load.
    hit: Option<Process>,
}

impl Watch {
    /// Notes them, where a rank is to be lost.
    pub fn begin(case_run: &CaseRun<'_>, step: &Divide) -> Result<Option<Watch>, CaseEnd> {
        let Some(lose) = step.lose else { return Ok(None) };
        let (loader, before) = (case_run.pid()?, known(&case_run.family()?));
        let payload = case_run.file(&step.file)?.fixture.payload_bytes();
        let ranks = u64::from(step.tp).saturating_mul(u64::from(step.pp)).max(1);
        let (device, rank_bytes) = (case_run.device(), payload / ranks);
        Ok(Some(Watch { lose, loader, device, before, rank_bytes, hit: None }))
    }

    /// Asks for the load. Where the rank is to be lost meanwhile, its process is hit as soon as it holds half of it.
    pub fn while_loading<T>(&mut self, ask: impl FnOnce() -> T) -> T {
        if !self.lose.in_load() {
            return ask();
        }
        let answered = AtomicBool::new(false);
        let (answer, hit) = thread::scope(|scope| {
            let hitting = scope.spawn(|| {
                while !answered.load(Ordering::Relaxed) {
                    if let Some(largest) = self.among(&family::below(self.loader)).first() {
                        stop(*largest);
                        after_a_while(*largest, self.lose);
                        return Some(*largest);
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

    /// The processes of a family that came with the load and hold a rank.
    fn among(&self, family: &[u32]) -> Vec<Process> {
        let came = came(&self.before, &known(family));
        if came.is_empty() || !self.device.is_gpu() {
            return of_ranks(&came, |one| share_of(one.pid), self.rank_bytes);
        }
        // A context alone is more than half of a rank: on a card, a rank is whoever has one.
        let held = by_process(gpu::device_count().unwrap_or_default());
        of_ranks(&came, |one| held.get(&one.pid).copied().unwrap_or(0), self.rank_bytes)
    }

    /// Judges a load that was refused because a process was hit. `false` where none was.
    pub fn refused(&self, case_run: &mut CaseRun<'_>, failure: &Failure) -> Result<bool, CaseEnd> {
        if self.hit.is_none() {
            return Ok(false);
        }
        self.begin_record(case_run, None);
        refused(case_run, "answer", failure)?;
        case_run.check_nothing_left()?;
        let ranks = self.among(&case_run.family()?);
        if self.lose.ends() {
            none_is_left(case_run, &ranks)?;
        }
        Ok(true)
    }

    /// Loses a rank of a model that is held, and judges the answers to the next requests for it.
    pub fn afterwards(self, case_run: &mut CaseRun<'_>, step: &Divide) -> Result<(), CaseEnd> {
        let family = case_run.family()?;
        let ranks = self.among(&family);
        let hit = if self.lose.in_load() { self.hit } else { ranks.first().copied() };
        let Some(hit) = hit else {
            return Err(CaseEnd::Untested(self.nothing(family.len(), !ranks.is_empty())));
        };
        self.begin_record(case_run, Some(ranks.len()));
        let model = case_run.model(&step.name)?;
        let (handle, parts) = (model.handle, model.loaded.parts.clone());
        let ask_each = |case_run: &mut CaseRun<'_>| {
            let ask = |part| slices::compare_or_refused(case_run, &step.file, handle, part);
            parts.iter().map(ask).collect::<Result<Vec<Option<Failure>>, CaseEnd>>()
        };
        let answers = match self.lose {
            // What it holds was compared when it was loaded.
            Lose::EndedInLoad | Lose::PausedInLoad => Vec::new(),
            Lose::Ended => {
                end(hit);
                ask_each(case_run)?
            }
            Lose::EndedInRequest | Lose::PausedInRequest => {
                stop(hit);
                thread::scope(|scope| {
                    scope.spawn(|| after_a_while(hit, self.lose));
                    ask_each(case_run)
                })?
            }
        };
        for (part, answer) in parts.iter().zip(&answers) {
            if let Some(failure) = answer {
                refused(case_run, &format!("answer for rank {}", part.rank), failure)?;
            }
        }
        case_run.loaded.remove(&step.name);
        // What it says does not matter: a loader may have given up the model before.
        let _unloaded = case_run.ask(Request::Unload(Unload { handle }), 0)?;
        case_run.check_nothing_left()?;
        // A loader that goes on with the other ranks may keep them for the next load.
        let goes_on = answers.iter().all(Option::is_none);
        if self.lose.ends() && !goes_on { none_is_left(case_run, &ranks) } else { Ok(()) }
    }

    /// Opens a step in the record. Where the load was refused, nobody knows how many processes it had.
    fn begin_record(&self, case_run: &mut CaseRun<'_>, of: Option<usize>) {
        let of = of.map_or_else(String::new, |of| format!(", one of {of} with a process"));
        case_run.begin(format!("lose a rank{of}: {}", plain(self.lose)));
    }

    /// Why there is nothing to lose, where the loader has so many processes now.
    fn nothing(&self, now: usize, too_late: bool) -> String {
        let before = self.before.len();
        match (before, now) {
            _ if too_late => {
                format!("{NO_OBJECT}the load was answered before a rank was seen to be loaded")
            }
            (1, 1) => format!("{NO_OBJECT}all ranks are one process, the loader's"),
            _ => {
                let by = if self.device.is_gpu() { ", by NVML" } else { "" };
                format!(
                    "{NO_OBJECT}no process came with the load that holds a rank{by}; the loader had {before} before \
                     and {now} after it"
                )
            }
        }
    }
}

/// Checks that the processes of the other ranks end too.
fn none_is_left(case_run: &mut CaseRun<'_>, ranks: &[Process]) -> Result<(), CaseEnd> {
    let live = || ranks.iter().filter(|one| one.lives()).map(|one| one.pid).collect();
    let left = case_run.gathering(|_| family::outlasting(&live, GOODBYE)).len();
    let found = (left > 0).then(|| format!("{left} of {}", ranks.len()));
    let what = "processes of ranks that are left";
    case_run.check(Check::absent(what, "none", found, Basis::Observed))
}

/// Checks that a failure does not blame the request or the file. A loader may have given up the model by then.
fn refused(case_run: &mut CaseRun<'_>, what: &str, failure: &Failure) -> Result<(), CaseEnd> {
    case_run.claim(failure_claim(failure));
    let wanted = match failure.code {
        Code::UnknownHandle => "refused/any phase/unknown_handle",
        _ => "internal or device or resource/any phase/any code",
    };
    case_run.check(Check::one_of(what, wanted, summary(failure), Basis::Observed))
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;

    /// What a shell says of a process that it starts as soon as it is asked, and how long that takes.
    fn told(lose: Lose, rank_bytes: u64, starts: &str) -> (String, Duration, bool) {
        let script = format!("read line; {starts} & wait $!; echo $?");
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let before = known(&[shell.id()]);
        let (loader, device) = (shell.id(), Device::Cpu);
        let mut watch = Watch { lose, loader, device, before, rank_bytes, hit: None };
        let mut asks = shell.stdin.take().unwrap();
        let mut answers = BufReader::new(shell.stdout.take().unwrap());
        let begin = Instant::now();
        let answer = watch.while_loading(|| {
            writeln!(asks, "load").unwrap();
            let mut answer = String::new();
            answers.read_line(&mut answer).unwrap();
            answer.trim().to_owned()
        });
        shell.wait().unwrap();
        (answer, begin.elapsed(), watch.hit.is_some())
    }

    #[test]
    fn a_process_that_comes_with_a_load_is_hit_and_no_other() {
        let (status, took, hit) = told(Lose::EndedInLoad, 1, "sleep 600");
        assert!(status == "137" && hit && took >= BEFORE_ITS_END, "{status} in {took:?}");
        let (status, took, hit) = told(Lose::PausedInLoad, 1, "sleep 0.3");
        assert!(status == "0" && hit && took >= PAUSE, "{status} in {took:?}");
        // It is hit later, or it is too small for a rank.
        assert!(!told(Lose::Ended, 1, "sleep 0.3").2);
        let (status, took, hit) = told(Lose::EndedInLoad, 1 << 40, "sleep 0.3");
        assert!(status == "0" && !hit && took < PAUSE, "{status} in {took:?}");
    }

    #[test]
    fn it_is_said_why_there_was_nothing_to_lose() {
        let watch = |before: &[u32]| {
            let before = before.iter().map(|pid| (*pid, 1)).collect();
            let (lose, device) = (Lose::Ended, Device::Cpu);
            Watch { lose, loader: 1, device, before, rank_bytes: 1, hit: None }
        };
        assert!(watch(&[1]).nothing(1, false).ends_with("all ranks are one process, the loader's"));
        let several = watch(&[1, 2]).nothing(3, false);
        assert!(several.contains("2 before and 3 after"), "{several}");
        assert!(watch(&[1]).nothing(3, true).contains("before a rank was seen"));
    }
}
