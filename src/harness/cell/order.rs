//! What a supervisor is told: how strong the cell is, and what can be seen in it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How well a loader is kept apart from its judge, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Not at all: the loader can read and end its judge.
    None,
    /// A supervisor, no capabilities, no new privileges, no access to the judge's memory, and another user
    /// where the judge is root.
    Process,
    /// The same, and namespaces of Linux: processes, mounts, IPC, network, and users where the kernel asks
    /// for it.
    Namespaces,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::None => "none",
            Level::Process => "process",
            Level::Namespaces => "namespaces",
        })
    }
}

/// What a loader sees of the file system beyond what every program sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Views {
    /// Folders that look empty.
    pub hidden: Vec<PathBuf>,
    /// Files that look empty.
    pub blank: Vec<PathBuf>,
    /// What lies in a hidden or a private folder and can be read all the same.
    pub readable: Vec<PathBuf>,
    /// Folders that can be written to.
    pub writable: Vec<PathBuf>,
}

/// What a supervisor is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// How strong the cell is.
    pub level: Level,
    /// Whether a user namespace gives the right to make the others. A root of the whole machine may make
    /// them without it.
    pub user_namespace: bool,
    /// Whether the loader keeps the machine's network.
    pub network: bool,
    /// The user and group that the loader becomes, where the judge is root and there are no namespaces.
    pub user: Option<u32>,
    /// What it sees of the file system, where there are namespaces.
    pub views: Views,
    /// How long what the loader has started may go on after it, before it is counted and ended, in
    /// milliseconds.
    #[serde(default)]
    pub aftermath_ms: u64,
    /// Whether the supervisor looks if the judge, its parent, is stopped: where the loader has the judge's user
    /// and can signal it.
    #[serde(default)]
    pub watched: bool,
    /// A process whose namespaces the loader joins, where there are such: another one of the same loader, by its id
    /// outside of them. It shares the cell of that one, and ends with it.
    #[serde(default)]
    pub beside: Option<u32>,
    /// File that the supervisor appends one line to, a [`Told`](super::Told), when the loader has ended.
    pub told: Option<PathBuf>,
}

impl Order {
    /// How long what the loader has started may go on after it.
    pub(super) const fn aftermath(&self) -> Duration {
        Duration::from_millis(self.aftermath_ms)
    }
}
