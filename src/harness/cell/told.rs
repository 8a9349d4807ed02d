//! What a supervisor tells the judge about the end of a loader.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long what a loader has started may go on after it, where its end is looked at. A helper that ends
/// when its pipe is closed needs a moment, and on a busy machine more than that.
pub const AFTERMATH: Duration = Duration::from_secs(5);

/// Names and numbers are cut here: a loader that starts ten thousand processes gets no longer report.
const MOST: usize = 8;

/// What was left when a loader's process had ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Number of processes that the loader had started and that were still there. They were killed.
    pub processes: usize,
    /// Names of the first of them, as the kernel knows them.
    pub names: Vec<String>,
    /// Files that it left in its `/dev/shm`. Nobody looks where that is everybody's.
    pub shared_memory_files: usize,
    /// Their size, in bytes.
    pub shared_memory_bytes: u64,
    /// Whether the judge was stopped while the loader ran. It was continued, and the loader was ended for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped_judge: bool,
}

impl Told {
    /// The processes with these ids, which are still there.
    pub fn of_processes(pids: &BTreeSet<u32>) -> Told {
        let name = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        let names = pids.iter().filter_map(name).take(MOST).map(|name| name.trim().to_owned());
        Told { processes: pids.len(), names: names.collect(), ..Told::default() }
    }

    /// The same with what lies in a folder of shared memory. What the judge shows the loader there, such as
    /// fixtures in the machine's shared memory, lies on another file system and does not count.
    pub(super) fn and_shared_memory(mut self, folder: &Path) -> Told {
        let own = fs::metadata(folder).map_or(0, |data| data.dev());
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
                match fs::symlink_metadata(entry.path()) {
                    Ok(data) if data.dev() != own => {}
                    Ok(data) if data.is_dir() => open.push(entry.path()),
                    Ok(data) => {
                        self.shared_memory_files += 1;
                        self.shared_memory_bytes += data.len();
                    }
                    Err(_) => {}
                }
            }
        }
        self
    }

    /// Appends this as one line.
    pub(super) fn write(&self, file: &mut fs::File) -> io::Result<()> {
        let mut line = serde_json::to_vec(self).map_err(io::Error::other)?;
        line.push(b'\n');
        file.write_all(&line)
    }

    /// Reads what a supervisor has written; `None` if it has not.
    pub fn read(path: &Path) -> Option<Told> {
        serde_json::from_str(fs::read_to_string(path).ok()?.lines().next()?).ok()
    }
}
