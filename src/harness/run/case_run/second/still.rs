//! A process that is stopped, with all that it has started.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::family;

/// A process may start another one while it is stopped; so often is looked for more.
const LOOKS: usize = 8;

/// How long a stopped process may be in the kernel before it stands still.
const IN_KERNEL: Duration = Duration::from_secs(2);

/// How often is looked whether it does.
const LOOK: Duration = Duration::from_micros(200);

/// How long a process may have run since it was seen to stand still: a thread is told to be stopped a few instructions
/// before it is.
const LAST_STEPS: Duration = Duration::from_millis(1);

/// Processes that stand still. They go on when this is dropped.
#[derive(Debug)]
pub struct Still {
    stopped: Vec<(u32, u64)>,
    /// Whether they were seen to stand still.
    stood: bool,
    /// How long each had run by then.
    ran: Vec<Option<Duration>>,
    since: Instant,
}

impl Still {
    /// Stops a process, by its id and start time, with every live one below it, and those that were started with this
    /// folder as theirs: they may have another parent by now.
    pub fn of(process: (u32, u64), scratch: &Path) -> Still {
        let (stopped, ran) = (Vec::new(), Vec::new());
        let mut still = Still { stopped, stood: false, ran, since: Instant::now() };
        still.stop(process);
        for _ in 0..LOOKS {
            let before = still.stopped.len();
            // Those below it first: to look at all processes takes longer.
            still.stop_all(family::below(process.0));
            still.stop_all(family::started_for(scratch));
            if still.stopped.len() == before {
                break;
            }
        }
        // The signal counts when a call to the kernel has ended, which may take some time.
        while !still.stood && still.since.elapsed() < IN_KERNEL {
            still.stood = still.all_stand();
            if !still.stood {
                thread::sleep(LOOK);
            }
        }
        still.ran = still.stopped.iter().map(|(pid, _)| family::ran_for(*pid)).collect();
        still.since = Instant::now();
        still
    }

    fn stop_all(&mut self, pids: impl IntoIterator<Item = u32>) {
        let started = |pid| Some((pid, family::start_time(pid)?));
        pids.into_iter().filter_map(started).for_each(|process| self.stop(process));
    }

    fn stop(&mut self, (pid, start): (u32, u64)) {
        let known = self.stopped.contains(&(pid, start));
        if !known && family::signal_to(pid, start, Signal::SIGSTOP) {
            self.stopped.push((pid, start));
        }
    }

    /// What somebody did to them, if not all that live stand as they did. Nobody but the judge lets them go on, and one
    /// that went on and was stopped again has run meanwhile.
    pub fn moved(&self) -> Option<String> {
        if !self.stood {
            return None;
        }
        if !self.all_stand() {
            return Some("somebody let it go on".to_owned());
        }
        let most = self.stopped.iter().zip(&self.ran).filter_map(|((pid, start), before)| {
            let ran = family::ran_for(*pid)?.saturating_sub((*before)?);
            family::lives(*pid, *start).then_some(ran)
        });
        let most = most.max().filter(|most| *most > LAST_STEPS)?;
        let ran = most.as_secs_f64() * 1e3;
        Some(format!("somebody let it go on and stopped it again; it ran for {ran:.1} ms"))
    }

    fn all_stand(&self) -> bool {
        let goes_on =
            |(pid, start): &(u32, u64)| family::lives(*pid, *start) && !family::stands_still(*pid);
        !self.stopped.iter().any(goes_on)
    }

    /// How long they have stood still.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        // The first one goes on last: it may look whether the others answer.
        for (pid, start) in self.stopped.iter().rev() {
            family::signal_to(*pid, *start, Signal::SIGCONT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_and_its_child_stand_still_and_go_on() {
        let script = "(while :; do echo child; sleep 0.01; done) & echo parent; wait";
        let mut shell =
            Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(shell.stdout.take().unwrap()).lines();
        while said.next().unwrap().unwrap() != "child" {}
        let folder = tempfile::tempdir().unwrap();
        let start = family::start_time(shell.id()).unwrap();
        let still = Still::of((shell.id(), start), folder.path());
        // The child may be in the middle of starting a process, and its own state then says nothing.
        let begin = Instant::now();
        while !family::is_stopped(shell.id()) && begin.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(still.stopped.len() >= 2 && family::is_stopped(shell.id()), "{still:?}");
        drop(still);
        while said.next().unwrap().unwrap() != "child" {}
        family::end(&|| family::descendants(shell.id()), Duration::ZERO);
        shell.kill().unwrap();
        shell.wait().unwrap();
    }

    #[test]
    fn a_process_that_somebody_lets_go_on_does_not_stand() {
        let mut cat = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let (folder, pid) = (tempfile::tempdir().unwrap(), cat.id());
        let start = family::start_time(pid).unwrap();
        let still = Still::of((pid, start), folder.path());
        assert!(still.stood && still.moved().is_none(), "{still:?}");
        assert!(family::signal_to(pid, start, Signal::SIGCONT));
        let begin = Instant::now();
        while family::is_stopped(pid) && begin.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(still.moved().as_deref(), Some("somebody let it go on"), "{still:?}");
        cat.kill().unwrap();
        cat.wait().unwrap();
        assert_eq!(still.moved(), None, "one that has ended does not go on");
    }

    #[test]
    fn a_process_that_went_on_and_was_stopped_again_has_run() {
        let mut shell = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let (folder, pid) = (tempfile::tempdir().unwrap(), shell.id());
        let start = family::start_time(pid).unwrap();
        let still = Still::of((pid, start), folder.path());
        thread::sleep(Duration::from_millis(50));
        assert!(still.stood && still.moved().is_none(), "{still:?}");
        let ran = family::ran_for(pid).unwrap();
        assert!(family::signal_to(pid, start, Signal::SIGCONT));
        let begin = Instant::now();
        let has_run = || family::ran_for(pid).unwrap() > ran + 2 * LAST_STEPS;
        while !has_run() && begin.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(family::signal_to(pid, start, Signal::SIGSTOP));
        while !family::stands_still(pid) && begin.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        let moved = still.moved().unwrap_or_default();
        assert!(moved.contains("stopped it again; it ran for"), "{moved} {still:?}");
        shell.kill().unwrap();
        shell.wait().unwrap();
    }
}
