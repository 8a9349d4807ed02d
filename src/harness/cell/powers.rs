//! Takes from a loader's process what it does not need: capabilities, new privileges, core dumps, files
//! without end.

use std::io;

use caps::CapSet;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

/// Largest file that a loader may write, in bytes. The largest export of a model is far below it.
const LARGEST_FILE: u64 = 1 << 40;

/// Most processes and threads in a user namespace. PyTorch on 192 cores starts about a thousand threads.
const MOST_PROCESSES: u64 = 16_384;

/// Takes everything that this process does not need. It becomes `user` first, if one is given.
///
/// # Errors
/// What the kernel refuses.
pub fn drop_all(user: Option<u32>, own_user_namespace: bool) -> io::Result<()> {
    limit(Resource::RLIMIT_CORE, 0)?;
    limit(Resource::RLIMIT_FSIZE, LARGEST_FILE)?;
    if own_user_namespace {
        // Elsewhere the kernel would count the user's other processes too.
        limit(Resource::RLIMIT_NPROC, MOST_PROCESSES)?;
    }
    drop_capabilities().map_err(|error| io::Error::other(format!("capabilities: {error}")))?;
    if let Some(id) = user {
        setgroups(&[]).map_err(named("setgroups"))?;
        let (group, user) = (Gid::from_raw(id), Uid::from_raw(id));
        setresgid(group, group, group).map_err(named("setresgid"))?;
        setresuid(user, user, user).map_err(named("setresuid"))?;
    }
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set)
            .map_err(|error| io::Error::other(format!("capabilities: {error}")))?;
    }
    prctl::set_no_new_privs().map_err(named("no_new_privs"))
}

/// Without the bounding set, a program of root regains no capability when it is started.
fn drop_capabilities() -> Result<(), caps::errors::CapsError> {
    if !caps::has_cap(None, CapSet::Effective, caps::Capability::CAP_SETPCAP)? {
        return Ok(());
    }
    for capability in caps::all() {
        // The kernel may be older than the list.
        if caps::has_cap(None, CapSet::Bounding, capability).unwrap_or(false) {
            caps::drop(None, CapSet::Bounding, capability)?;
        }
    }
    Ok(())
}

/// Lowers a limit; one that is lower already stays.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    let most = most.min(hard);
    Ok(setrlimit(resource, most, most)?)
}

fn named(call: &'static str) -> impl Fn(nix::errno::Errno) -> io::Error {
    move |error| io::Error::other(format!("{call}: {error}"))
}
