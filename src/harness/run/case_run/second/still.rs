//! A process that is stopped, with all that it has started.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::family;

/// A process may start another one while it is stopped; so often is looked for more.
const LOOKS: usize = 8;

/// Processes that stand still. They go on when this is dropped.
#[derive(Debug)]
pub struct Still {
    stopped: Vec<(u32, u64)>,
    since: Instant,
}

impl Still {
    /// Stops a process and every live one below it.
    pub fn of(pid: u32) -> Still {
        let mut still = Still { stopped: Vec::new(), since: Instant::now() };
        for _ in 0..LOOKS {
            let before = still.stopped.len();
            for one in std::iter::once(pid).chain(family::below(pid)) {
                let known = still.stopped.iter().any(|(pid, _)| *pid == one);
                if let Some(start) = family::start_time(one).filter(|_| !known)
                    && family::signal_to(one, start, Signal::SIGSTOP)
                {
                    still.stopped.push((one, start));
                }
            }
            if still.stopped.len() == before {
                break;
            }
        }
        still
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
        let still = Still::of(shell.id());
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
}
