//! The namespaces of another process of the same loader, which a second one joins. Both see the same `/tmp`, the same
//! shared memory and the same loopback interface, as two processes of one machine do.

use std::fs::File;
use std::io;

use nix::sched::{CloneFlags, setns};

use super::order::Order;

/// The namespaces of a process, open.
pub struct Joined {
    /// In the order in which they are entered: the first one gives the right to the others.
    first: Vec<(CloneFlags, File)>,
    mounts: File,
}

impl Joined {
    /// Opens the namespaces of the process that the order names; `None` if it names none.
    ///
    /// # Errors
    /// If there is no such process, or it may not be looked at.
    pub fn open(order: &Order) -> io::Result<Option<Joined>> {
        let Some(pid) = order.beside else { return Ok(None) };
        let of = |name: &str| {
            let opened = File::open(format!("/proc/{pid}/ns/{name}"));
            opened.map_err(|error| io::Error::other(format!("namespace {name} of {pid}: {error}")))
        };
        let wanted = [
            (order.user_namespace, "user", CloneFlags::CLONE_NEWUSER),
            (true, "ipc", CloneFlags::CLONE_NEWIPC),
            (!order.network, "net", CloneFlags::CLONE_NEWNET),
            (true, "pid", CloneFlags::CLONE_NEWPID),
        ];
        let wanted = wanted.into_iter().filter(|(wanted, ..)| *wanted);
        let first =
            wanted.map(|(_, name, kind)| Ok((kind, of(name)?))).collect::<io::Result<_>>()?;
        Ok(Some(Joined { first, mounts: of("mnt")? }))
    }

    /// Enters all but the mounts. The next child is born into the namespace of processes.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn enter(&self) -> io::Result<()> {
        self.first.iter().try_for_each(|(kind, opened)| join(opened, *kind))
    }

    /// Enters the mounts. The working folder is looked up again.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn enter_mounts(&self) -> io::Result<()> {
        let folder = std::env::current_dir()?;
        join(&self.mounts, CloneFlags::CLONE_NEWNS)?;
        std::env::set_current_dir(folder)
    }
}

fn join(opened: &File, kind: CloneFlags) -> io::Result<()> {
    let named = |error: nix::errno::Errno| io::Error::other(format!("join: {}", error.desc()));
    setns(opened, kind).map_err(named)
}
