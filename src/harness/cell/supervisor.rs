//! The supervisor: it builds the cell of a loader, waits for the loader's end, ends what the loader has
//! left running, and then ends as the loader did.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, raise, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getgid, getppid, getuid};

use super::init::{self, NOT_STARTED, forget_pipes, raw};
use super::joined::Joined;
use super::order::{Level, Order};
use super::told::Told;
use crate::harness::family;

/// How long a loader may go on after its judge is gone.
const ORPHANED: Duration = Duration::from_secs(30);

/// How often the supervisor looks whether its judge is stopped.
const LOOK: Duration = Duration::from_secs(1);

/// Starts a loader in the cell that the order describes, and ends as the loader does.
///
/// This process must have one thread. If the cell cannot be built, it says why on stderr and ends with
/// status 125.
pub fn supervise(order: &Order, program: &OsStr, args: &[OsString]) -> ! {
    match run(order, program, args) {
        Ok(status) => end_as(status),
        Err(error) => {
            eprintln!("weighbridge {}: {error}", super::COMMAND);
            process::exit(NOT_STARTED)
        }
    }
}

fn run(order: &Order, program: &OsStr, args: &[OsString]) -> io::Result<i32> {
    let open = |path| OpenOptions::new().append(true).create(true).open(path);
    let told = order.told.as_ref().map(open).transpose()?;
    // The judge's signals to the group are for the loader.
    let mut heard = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGCHLD] {
        heard.add(signal);
    }
    heard.thread_block()?;
    let signals = SignalFd::with_flags(&heard, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    let mut watch = Watch { judge: order.watched.then(parent), stopped: false };
    match order.level {
        Level::None | Level::Process => {
            prctl::set_dumpable(false)?;
            prctl::set_child_subreaper(true)?;
            let loader = init::start(order, program, args)?;
            forget_pipes()?;
            let status = wait(loader, &signals, &stdin, &mut watch)?;
            let left = || family::descendants(process::id());
            let mut seen = Told::of_processes(&family::outlasting(&left, order.aftermath()));
            seen.stopped_judge = watch.stopped;
            family::end(&left, Duration::ZERO);
            if let Some(mut told) = told {
                seen.write(&mut told)?;
            }
            Ok(status)
        }
        Level::Namespaces => {
            let joined = Joined::open(order)?;
            match &joined {
                Some(joined) => joined.enter()?,
                None => enter(order)?,
            }
            // Only now: who cannot be looked at may not write its own map of users, unless it is root.
            prctl::set_dumpable(false)?;
            let (mut from_init, to_us) = io::pipe()?;
            // SAFETY: this process has one thread, so the child may do everything that a process may.
            match unsafe { fork() }? {
                ForkResult::Child => {
                    drop(from_init);
                    let to_us = File::from(std::os::fd::OwnedFd::from(to_us));
                    let lived = match joined {
                        Some(joined) => init::live_beside(&joined, order, program, args, to_us),
                        None => init::live(order, program, args, to_us, told),
                    };
                    if let Err(error) = &lived {
                        eprintln!("weighbridge {}: {error}", super::COMMAND);
                    }
                    process::exit(if lived.is_ok() { 0 } else { NOT_STARTED });
                }
                ForkResult::Parent { child } => {
                    drop(to_us);
                    forget_pipes()?;
                    let status = wait(child, &signals, &stdin, &mut watch)?;
                    let mut of_loader = [0; 4];
                    Ok(match from_init.read_exact(&mut of_loader) {
                        Ok(()) => i32::from_le_bytes(of_loader),
                        // It did not get to the loader's end.
                        Err(_) => status,
                    })
                }
            }
        }
    }
}

/// Makes the namespaces that the next child is born into.
fn enter(order: &Order) -> io::Result<()> {
    let (user, group) = (getuid(), getgid());
    let mut wanted = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC;
    wanted.set(CloneFlags::CLONE_NEWUSER, order.user_namespace);
    wanted.set(CloneFlags::CLONE_NEWNET, !order.network);
    unshare(wanted).map_err(|error| io::Error::other(format!("namespaces: {}", error.desc())))?;
    if order.user_namespace {
        // The same numbers inside and outside, so that files keep their owners.
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    Ok(())
}

/// The judge, while its loader could stop it.
struct Watch {
    /// Its process id, where it is watched.
    judge: Option<u32>,
    /// Whether it was stopped.
    stopped: bool,
}

impl Watch {
    /// Continues a judge that is stopped, and ends the loader for it.
    fn look(&mut self, child: Pid) {
        let Some(judge) = self.judge.filter(|judge| family::is_stopped(*judge)) else { return };
        self.stopped = true;
        // First the loader, which could stop it again.
        let _ended = kill(child, Signal::SIGKILL);
        let _continued = kill(Pid::from_raw(judge.cast_signed()), Signal::SIGCONT);
    }
}

fn parent() -> u32 {
    getppid().as_raw().cast_unsigned()
}

/// Waits for a child, and collects others meanwhile. Kills it if the judge is gone for long, or was stopped.
fn wait(child: Pid, signals: &SignalFd, stdin: &impl AsFd, watch: &mut Watch) -> io::Result<i32> {
    let mut gone: Option<Instant> = None;
    loop {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => break,
                Ok(status) if status.pid() == Some(child) => {
                    if let Some(raw) = raw(status) {
                        return Ok(raw);
                    }
                }
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut looked_at = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if gone.is_none() {
            // Only its end counts: a pipe hangs up when the judge closes it, or is gone.
            looked_at.push(PollFd::new(stdin.as_fd(), PollFlags::empty()));
        }
        let left = gone.map(|since| ORPHANED.saturating_sub(since.elapsed()));
        watch.look(child);
        let soon = watch.judge.map(|_| LOOK);
        let limit = left.into_iter().chain(soon).min().map_or(PollTimeout::NONE, |limit| {
            PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut looked_at, limit) {
            Ok(0) if left.is_some_and(|left| left <= LOOK) => kill(child, Signal::SIGKILL)?,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        if looked_at.get(1).and_then(PollFd::any).unwrap_or(false) {
            gone = Some(Instant::now());
        }
        while matches!(signals.read_signal(), Ok(Some(_))) {}
    }
}

/// Ends this process as a status of `waitpid` says.
fn end_as(raw: i32) -> ! {
    let number = raw & 0x7f;
    if number == 0 {
        process::exit(raw >> 8);
    }
    if let Ok(of_loader) = Signal::try_from(number) {
        // SAFETY: the default action is no handler of ours.
        let _default = unsafe { signal(of_loader, SigHandler::SigDfl) };
        let _open = SigSet::from(of_loader).thread_unblock();
        let _ends_here = raise(of_loader);
    }
    process::exit(128 + number)
}
