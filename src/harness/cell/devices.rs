//! The devices of a cell: the harmless ones that every program expects, and GPUs.

use std::fs;
use std::path::{Path, PathBuf};

/// Devices that every program expects.
const USUAL: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// How the names of other devices begin that a loader may use: the GPUs, and the network cards that copy
/// straight into them.
const OF_GPUS: [&str; 3] = ["nvidia", "infiniband", "gdrdrv"];

/// Links that every program expects, and where they lead.
pub const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// The devices that a cell has, of those in this folder.
pub fn of(folder: &Path) -> Vec<PathBuf> {
    let usual = USUAL.map(|name| folder.join(name)).into_iter().filter(|path| path.exists());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of_gpus = entries.filter(|entry| {
        let name = entry.file_name();
        OF_GPUS.iter().any(|begin| name.as_encoded_bytes().starts_with(begin.as_bytes()))
    });
    usual.chain(of_gpus.map(|entry| entry.path())).collect()
}
