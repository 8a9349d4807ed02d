//! A child process in its own process group: starts it, watches it, ends it and collects its exit
//! status.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::broken::Exit;
use super::conversation::Conversation;
use super::log::Log;
use super::memory;
use super::party::Party;
use super::spawn::{Spawn, start};
use crate::harness::cell::{self, Level, Told};
use crate::harness::family;

/// How long a killed process may take to end. If it takes longer, the kernel itself is blocked,
/// usually in a driver.
const DEATH: Duration = Duration::from_secs(10);

/// A running child.
pub struct Process {
    /// `None` after its exit status was collected.
    child: Option<Child>,
    pid: Pid,
    log: Log,
    /// How strong its cell is.
    level: Level,
    /// The loader's own process id, once it is known. In a cell the child is the supervisor.
    loader: OnceLock<u32>,
    /// File that the supervisor writes to.
    told: Option<PathBuf>,
    /// How long what it has started may go on after it.
    aftermath: Duration,
    /// Its own folder, by which what it has started is known where there is no supervisor.
    scratch: PathBuf,
    /// What it was seen to have started, each with its start time, where there is no supervisor.
    seen: Mutex<BTreeMap<u32, u64>>,
    /// The most memory that its family was seen to hold, in bytes.
    most: AtomicU64,
}

impl Process {
    /// Starts the child and opens a conversation with it.
    pub(super) fn start(spawn: &Spawn) -> io::Result<(Process, Conversation)> {
        let mut command = spawn.command()?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        // A loader in a cell has no right to ignore file modes anyway.
        let mut child = start(command, spawn.mode_counts && spawn.cell.is_none())?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let opened = match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Log::start(stderr.into(), &spawn.log)
                .and_then(|log| {
                    let talk = Conversation::new(stdin.into(), stdout.into())?;
                    let talk = match &spawn.transcript {
                        Some(file) => talk.written_to(file)?,
                        None => talk,
                    };
                    Ok((log, talk))
                }),
            _ => Err(io::Error::other("the child has no pipes")),
        };
        match opened {
            Ok((log, conversation)) => {
                let told = spawn.cell.as_ref().and_then(|cell| cell.order.told.clone());
                let (level, loader) = (spawn.level(), OnceLock::new());
                let scratch = spawn.scratch.clone();
                let (seen, most) = (Mutex::default(), AtomicU64::new(0));
                let process = Process {
                    child: Some(child),
                    pid,
                    log,
                    level,
                    loader,
                    told,
                    aftermath: spawn.aftermath,
                    scratch,
                    seen,
                    most,
                };
                Ok((process, conversation))
            }
            Err(error) => {
                let _ = killpg(pid, Signal::SIGKILL);
                let _ = child.wait();
                Err(error)
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // The only expected failure is that the group has no process left.
        let _ = killpg(self.pid, signal);
    }

    /// The loader's process id, as this process sees it.
    fn loader(&self) -> Option<u32> {
        if let Some(pid) = self.loader.get() {
            return Some(*pid);
        }
        let found = cell::loader_of(self.pid.as_raw().cast_unsigned(), self.level)?;
        Some(*self.loader.get_or_init(|| found))
    }

    /// Kills the supervisor and everything below it.
    fn kill_all(&self) {
        match self.level {
            Level::None => {
                self.note_family();
                family::end(&|| self.relatives(), Duration::ZERO);
            }
            // They would outlive their supervisor.
            Level::Process => {
                let of = self.pid.as_raw().cast_unsigned();
                family::end(&|| family::descendants(of), Duration::ZERO);
            }
            // With the first process of the namespaces all others end.
            Level::Namespaces => {}
        }
        self.signal(Signal::SIGKILL);
    }

    fn note(&self, pids: &[u32]) {
        let now = pids.iter().filter_map(|pid| Some((*pid, family::start_time(*pid)?)));
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(now);
    }

    /// The live processes that it has started, where there is no supervisor: those that were seen, and
    /// those that were started for its folder.
    fn relatives(&self) -> BTreeSet<u32> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let live = seen.iter().filter(|(pid, start)| family::lives(**pid, **start));
        let mut all: BTreeSet<u32> = live.map(|(pid, _)| *pid).collect();
        all.extend(family::started_for(&self.scratch));
        all.remove(&self.pid.as_raw().cast_unsigned());
        all
    }
}

impl Party for Process {
    fn pid(&self) -> Option<u32> {
        self.loader()
    }

    fn family(&self) -> Vec<u32> {
        let Some(loader) = self.loader() else { return Vec::new() };
        let own = self.pid.as_raw().cast_unsigned();
        let mut all = vec![loader];
        // In a cell, whoever loses its parent comes to the supervisor or to the first process of the
        // namespaces, which are none of the loader's.
        let first = match self.level {
            Level::Namespaces => family::first_child(own),
            Level::None | Level::Process => None,
        };
        let others = family::below(own).into_iter();
        all.extend(others.filter(|pid| *pid != loader && Some(*pid) != first));
        if self.level == Level::None {
            self.note(&all[1..]);
            let known = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let lost = known
                .iter()
                .filter(|(pid, start)| !all.contains(pid) && family::lives(**pid, **start));
            let lost: Vec<u32> = lost.map(|(pid, _)| *pid).collect();
            all.extend(lost);
        }
        all
    }

    fn reset_peak(&self) {
        self.most.store(0, Ordering::Relaxed);
        // Where the kernel forbids it, the peak is that of the whole life.
        let _ = self.loader().map(memory::reset_peak);
    }

    fn resident(&self) -> Option<u64> {
        let held = memory::of_family(&self.family()).ok()?;
        self.most.fetch_max(held, Ordering::Relaxed);
        Some(held)
    }

    fn peak(&self) -> Option<u64> {
        let own = memory::peak(self.loader()?).ok()?;
        let of_family = self.resident().unwrap_or(0);
        Some(own.max(of_family).max(self.most.load(Ordering::Relaxed)))
    }

    fn ended(&self) -> bool {
        if self.child.is_none() {
            return true;
        }
        // WNOWAIT leaves the process a zombie. While it is one, its id cannot be reused, so a
        // signal to the group cannot reach another process.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(waitid(Id::Pid(self.pid), flags), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
    }

    fn collect(&mut self) -> Option<Exit> {
        let mut child = self.child.take()?;
        self.signal(Signal::SIGKILL);
        let exit = child.wait().ok().and_then(exit);
        self.log.close();
        exit
    }

    fn kill(&mut self, grace: Duration) -> Option<Exit> {
        self.signal(Signal::SIGTERM);
        if !self.wait_ended(grace) {
            self.kill_all();
            if !self.wait_ended(DEATH) {
                // A thread waits until the kernel releases the process; the judge goes on.
                if let Some(mut child) = self.child.take() {
                    std::thread::spawn(move || child.wait());
                }
            }
        }
        self.collect()
    }

    fn note_family(&self) {
        if self.level == Level::None {
            let of = self.pid.as_raw().cast_unsigned();
            self.note(&family::below(of));
        }
    }

    fn aftermath(&self) -> Duration {
        if self.level == Level::None { Duration::ZERO } else { self.aftermath }
    }

    fn left(&self) -> Option<Told> {
        if self.level != Level::None {
            return Told::read(self.told.as_ref()?);
        }
        let find = || self.relatives();
        let told = Told::of_processes(&family::outlasting(&find, self.aftermath));
        family::end(&find, Duration::ZERO);
        Some(told)
    }

    fn stopped_judge(&self) -> bool {
        let told = self.told.as_ref().filter(|_| self.level != Level::None);
        told.and_then(|told| Told::read(told)).is_some_and(|told| told.stopped_judge)
    }

    fn tail(&self) -> String {
        self.log.tail()
    }

    fn stderr_bytes(&self) -> u64 {
        self.log.bytes()
    }

    fn stderr_log(&self) -> Option<&Path> {
        Some(self.log.path())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill(Duration::ZERO);
        }
    }
}

fn exit(status: ExitStatus) -> Option<Exit> {
    let signal = |number| match Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("real-time signal {number}"),
    };
    status
        .code()
        .map(Exit::Code)
        .or_else(|| status.signal().map(|number| Exit::Signal(number, signal(number))))
}
