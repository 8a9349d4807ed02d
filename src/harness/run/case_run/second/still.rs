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

/// Processes that stand still. They go on when this is dropped.
#[derive(Debug)]
pub struct Still {
    stopped: Vec<(u32, u64)>,
    /// Whether they were seen to stand still.
    stood: bool,
    since: Instant,
}

impl Still {
    /// Stops a process, by its id and start time, with every live one below it, and those that were started with this
    /// folder as theirs: they may have another parent by now.
    pub fn of(process: (u32, u64), scratch: &Path) -> Still {
        let mut still = Still { stopped: Vec::new(), stood: false, since: Instant::now() };
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

    /// Whether all of them that live stand as they did. Nobody but the judge lets them go on.
    pub fn stands(&self) -> bool {
        !self.stood || self.all_stand()
    }

    fn all_stand(&self) -> bool {
        let goes_on =
            |(pid, start): &(u32, u64)| family::lives(*pid, *start) && !family::is_stopped(*pid);
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
        assert!(still.stood && still.stands(), "{still:?}");
        assert!(family::signal_to(pid, start, Signal::SIGCONT));
        let begin = Instant::now();
        while family::is_stopped(pid) && begin.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!still.stands(), "{still:?}");
        cat.kill().unwrap();
        cat.wait().unwrap();
        assert!(still.stands(), "one that has ended does not go on");
    }
}
