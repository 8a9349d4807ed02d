//! The cell of a loader: what a loader's process may see, change and leave behind.
//!
//! A judge that its subject can read, stop or outlive proves nothing. Every program of a loader is therefore
//! started through a supervisor: this program again, with the hidden command `supervise`. The supervisor
//! builds the cell, starts the loader in it, and ends when the loader and everything that it has started has
//! ended. How much of a cell a machine allows differs; see [`Level`].
//!
//! In namespaces, the loader sees the file system read-only. The run's folder holds only the fixtures,
//! read-only, and the loader's own folder. Files written to `/tmp` and `/dev/shm` are its own and go with
//! it. It sees neither the judge nor any other process, no network, and of the devices only those of GPUs.

mod devices;
mod init;
mod joined;
mod order;
mod powers;
mod probe;
mod supervisor;
mod told;
mod view;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::joined::Joined;
pub use self::order::{Level, Order, Views};
pub use self::probe::{Found, Wanted, find};
pub use self::supervisor::supervise;
pub use self::told::{AFTERMATH, Told};
use crate::harness::family;

/// The command of this program that starts a loader in a cell.
pub const COMMAND: &str = "supervise";

/// How long the supervisor may take to start the loader's process.
const BIRTH: Duration = Duration::from_secs(5);

/// The process id of the loader that a supervisor has started: its first child, or in namespaces the first
/// child of that one. `None` if there is none yet.
///
/// The kernel lists children in the order of their birth, and orphans that a process inherits come last.
pub fn loader_of(supervisor: u32, level: Level) -> Option<u32> {
    let steps = match level {
        Level::None => return Some(supervisor),
        Level::Process => 1,
        Level::Namespaces => 2,
    };
    let began = Instant::now();
    loop {
        let down = |pid: Option<u32>, _| family::first_child(pid?);
        if let Some(found) = (0..steps).fold(Some(supervisor), down) {
            return Some(found);
        }
        if began.elapsed() > BIRTH || family::start_time(supervisor).is_none() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How a loader is started in a cell.
#[derive(Clone, Debug)]
pub struct Cell {
    /// This program.
    pub exe: PathBuf,
    /// What the supervisor is told.
    pub order: Order,
}

impl Cell {
    /// Joins the namespaces of another process of the same loader, where there are any.
    ///
    /// # Errors
    /// If that process may not be looked at: then nobody can join it.
    pub fn join(&mut self, pid: u32) -> io::Result<()> {
        self.order.beside = Some(pid);
        match self.order.level {
            Level::Namespaces => Joined::open(&self.order).map(drop),
            Level::None | Level::Process => Ok(()),
        }
    }

    /// The supervisor's arguments, for a loader with this program and these arguments.
    ///
    /// # Errors
    /// If a path is not UTF-8.
    pub fn arguments(&self, program: PathBuf, args: &[OsString]) -> io::Result<Vec<OsString>> {
        let order = serde_json::to_string(&self.order).map_err(io::Error::other)?;
        let own = [COMMAND.into(), order.into(), program.into_os_string()];
        Ok(own.into_iter().chain(args.iter().cloned()).collect())
    }
}
