//! Finds and ends the processes that a run has started, also those whose parent is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// How long a killed process may take to end. If it takes longer, the kernel itself is blocked,
/// usually in a driver.
const DEATH: Duration = Duration::from_secs(10);
/// How often the processes are looked for.
const LOOK: Duration = Duration::from_millis(10);

/// What the kernel tells of a process.
struct Told {
    state: char,
    parent: u32,
    start: u64,
}

/// When a process was started, in ticks since the machine was. `None` if there is no such process.
pub fn start_time(pid: u32) -> Option<u64> {
    told(pid).map(|told| told.start)
}

/// Whether the process with this id and this start time is alive.
pub fn lives(pid: u32, start: u64) -> bool {
    told(pid).is_some_and(|told| told.start == start && !ended(told.state))
}

/// Whether a process is stopped by a signal.
pub fn is_stopped(pid: u32) -> bool {
    told(pid).is_some_and(|told| told.state == 'T')
}

/// Whether every thread of a process is stopped. One that is in the kernel stops later than the others.
pub fn stands_still(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut states = threads.filter_map(|thread| told_in(&thread.path())).map(|told| told.state);
    is_stopped(pid) && states.all(|state| state == 'T' || ended(state))
}

/// How long the threads of a process have run on processors so far, to the nanosecond. `None` where nobody tells.
pub fn ran_for(pid: u32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).ok()?;
    clock.now().ok().map(Duration::from)
}

/// Every live descendant of a process.
pub fn descendants(of: u32) -> BTreeSet<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, told) in pids().into_iter().filter_map(|pid| Some((pid, told(pid)?))) {
        if !ended(told.state) {
            children.entry(told.parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![of];
    while let Some(next) = open.pop() {
        for child in children.remove(&next).unwrap_or_default() {
            found.insert(child);
            open.push(child);
        }
    }
    found
}

/// The live processes below one, found from parent to child. This is quicker than a look at every process, and
/// sees only those whose parents live.
pub fn below(of: u32) -> Vec<u32> {
    let (mut found, mut open) = (Vec::new(), vec![of]);
    while let Some(next) = open.pop() {
        let threads = fs::read_dir(format!("/proc/{next}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let children = children.split_whitespace().filter_map(|child| child.parse().ok());
            let children: Vec<u32> = children.filter(|child| !found.contains(child)).collect();
            open.extend(&children);
            found.extend(children);
        }
    }
    found
}

/// The first child of a process, if it has one.
pub fn first_child(of: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Every live process whose TMPDIR is this scratch folder or lies in it. Loaders get one, and their own
/// children inherit it.
pub fn started_for(scratch: &Path) -> BTreeSet<u32> {
    let wanted = [b"TMPDIR=", scratch.as_os_str().as_bytes()].concat();
    let own = std::process::id();
    let names = |variable: &[u8]| {
        variable.strip_prefix(wanted.as_slice()).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
    };
    let fits = |pid: &u32| {
        // Another user's environment cannot be read, and is not looked for.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(names)
            && told(*pid).is_some_and(|told| !ended(told.state))
    };
    pids().into_iter().filter(|pid| *pid != own).filter(fits).collect()
}

/// The processes that are still there after `grace`. Returns at once when none is left.
pub fn outlasting(find: &dyn Fn() -> BTreeSet<u32>, grace: Duration) -> BTreeSet<u32> {
    let began = Instant::now();
    loop {
        let left = find();
        if left.is_empty() || began.elapsed() >= grace {
            return left;
        }
        std::thread::sleep(LOOK);
    }
}

/// Asks the processes that `find` finds to end, gives them `grace`, then kills them, and those that
/// appear meanwhile. Returns whether none is left.
pub fn end(find: &dyn Fn() -> BTreeSet<u32>, grace: Duration) -> bool {
    let began = Instant::now();
    let mut asked = BTreeSet::new();
    loop {
        let left = find();
        if left.is_empty() {
            return true;
        }
        let late = began.elapsed() >= grace;
        for pid in left {
            // A process that ended by itself meanwhile is what is wanted.
            if late {
                let _ = signal(pid, Signal::SIGKILL);
            } else if asked.insert(pid) {
                let _ = signal(pid, Signal::SIGTERM);
            }
        }
        if began.elapsed() >= grace + DEATH {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}

/// Sends a signal to the process with this id and this start time. Returns whether there was one.
pub fn signal_to(pid: u32, start: u64, which: Signal) -> bool {
    lives(pid, start) && signal(pid, which).is_ok()
}

fn signal(pid: u32, signal: Signal) -> nix::Result<()> {
    kill(Pid::from_raw(pid.cast_signed()), signal)
}

fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn told(pid: u32) -> Option<Told> {
    told_in(&Path::new("/proc").join(pid.to_string()))
}

/// The same of a process or a thread, by its folder.
fn told_in(folder: &Path) -> Option<Told> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // See proc(5): the second field is a name, which may hold spaces and brackets. The others follow
    // its last bracket: state, parent, ..., and as the 22nd field the start time.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Told {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// A zombie has ended; only its parent has not asked yet.
fn ended(state: char) -> bool {
    matches!(state, 'Z' | 'X')
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn grandchildren_are_found_and_ended() {
        let mut child = Command::new("sh").args(["-c", "sleep 600 & wait"]).spawn().unwrap();
        let parent = child.id();
        let find = || descendants(parent);
        while find().is_empty() {
            std::thread::sleep(LOOK);
        }
        assert!(descendants(std::process::id()).is_superset(&find()));
        assert_eq!(below(parent).into_iter().collect::<BTreeSet<_>>(), find());
        assert!(end(&find, Duration::from_secs(5)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(find().is_empty());
    }

    #[test]
    fn one_that_does_not_listen_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; touch \"$TMPDIR/ready\"; while :; do sleep 0.05; done";
        let mut child =
            Command::new("sh").args(["-c", script]).env("TMPDIR", folder.path()).spawn().unwrap();
        while !folder.path().join("ready").exists() {
            std::thread::sleep(LOOK);
        }
        assert!(started_for(folder.path()).contains(&child.id()));
        assert!(end(&|| started_for(folder.path()), Duration::from_millis(50)));
        assert!(!child.wait().unwrap().success());
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let own = std::process::id();
        let start = start_time(own).unwrap();
        assert!(lives(own, start) && !lives(own, start + 1) && start_time(99_999_999).is_none());
    }
}
