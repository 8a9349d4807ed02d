//! The first process of a loader's namespaces. It builds the view, starts the loader, collects every
//! process that loses its parent, and with its own end everything in the cell ends.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork};

use super::joined::Joined;
use super::order::Order;
use super::powers;
use super::told::Told;
use super::view::{self, SHARED_MEMORY};
use crate::harness::family;

/// Exit status of a supervisor that could not build the cell or start the loader.
pub const NOT_STARTED: i32 = 125;

/// The life of the first process. Writes the loader's exit status to `status`, as `waitpid` gives it.
///
/// # Errors
/// Why the cell could not be built.
pub fn live(
    order: &Order,
    program: &OsStr,
    args: &[OsString],
    mut status: File,
    told: Option<File>,
) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|error| io::Error::other(format!("a mount namespace: {}", error.desc())))?;
    if !order.network {
        // Libraries of several cards talk to themselves over it.
        loopback_up();
    }
    view::build(&order.views)?;
    let loader = start(order, program, args)?;
    forget_pipes()?;
    let raw = wait_for(loader)?;
    let left = family::outlasting(&processes, order.aftermath());
    if let Some(mut told) = told {
        let seen = Told::of_processes(&left).and_shared_memory(Path::new(SHARED_MEMORY));
        seen.write(&mut told)?;
    }
    status.write_all(&raw.to_le_bytes())
}

/// The life of a process in the namespaces of another loader: it starts the loader and waits for it. What that leaves
/// behind ends with the first process there, and nobody tells of it.
///
/// # Errors
/// Why the loader could not be started.
pub fn live_beside(
    joined: &Joined,
    order: &Order,
    program: &OsStr,
    args: &[OsString],
    mut status: File,
) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    joined.enter_mounts()?;
    let loader = start(order, program, args)?;
    forget_pipes()?;
    status.write_all(&wait_for(loader)?.to_le_bytes())
}

/// Starts the loader as a child of this process, without powers.
///
/// # Errors
/// If there cannot be a child.
pub fn start(order: &Order, program: &OsStr, args: &[OsString]) -> io::Result<Pid> {
    let folder = std::env::current_dir()?;
    // SAFETY: this process has one thread, so the child may do everything that a process may.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let error = become_loader(order, program, args, &folder);
            eprintln!("weighbridge {}: {}: {error}", super::COMMAND, Path::new(program).display());
            std::process::exit(NOT_STARTED);
        }
    }
}

/// Becomes the loader; returns only if that fails. The working folder is looked up again, in the view of
/// the cell.
fn become_loader(order: &Order, program: &OsStr, args: &[OsString], folder: &Path) -> io::Error {
    match give_up_powers(order) {
        Ok(()) => Command::new(program).args(args).current_dir(folder).exec(),
        Err(error) => error,
    }
}

fn give_up_powers(order: &Order) -> io::Result<()> {
    powers::drop_all(order.user, order.user_namespace)?;
    // Only now: a change of the user would clear it.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Waits for a child, and collects all others meanwhile. Returns its status as the kernel gives it.
///
/// # Errors
/// If there is no such child.
pub fn wait_for(child: Pid) -> io::Result<i32> {
    loop {
        match waitpid(None, None) {
            Ok(status) if status.pid() == Some(child) => {
                if let Some(raw) = raw(status) {
                    return Ok(raw);
                }
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A status as `waitpid` writes it; `None` for a child that goes on.
pub fn raw(status: WaitStatus) -> Option<i32> {
    match status {
        WaitStatus::Exited(_, code) => Some((code & 0xff) << 8),
        WaitStatus::Signaled(_, signal, _) => Some(signal as i32),
        _ => None,
    }
}

/// Lets go of the loader's pipes: the judge sees that the loader has closed one only if nobody else holds
/// it.
///
/// # Errors
/// If `/dev/null` cannot be opened.
pub fn forget_pipes() -> io::Result<()> {
    let nothing = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)?;
    Ok(())
}

/// All processes of this namespace but its first.
fn processes() -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let live = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        *pid != 1 && state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
    };
    pids.filter(live).collect()
}

/// Switches the loopback interface on; a loader that needs none does not notice a failure.
fn loopback_up() {
    let flags = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: a new descriptor that only this function uses.
    let socket = unsafe { libc::socket(libc::AF_INET, flags, 0) };
    if socket < 0 {
        return;
    }
    // SAFETY: the descriptor was opened above and has no other owner.
    let socket: File = unsafe { std::os::fd::FromRawFd::from_raw_fd(socket) };
    let mut name = [0; libc::IFNAMSIZ];
    for (to, from) in name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    let up = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    let request =
        libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: up } };
    // SAFETY: the request is a whole `ifreq` that lives until the call returns.
    let _none = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
}
