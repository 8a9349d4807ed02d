//! Scratch folders that name their owner, so that a later run can remove what a dead owner left.
//!
//! A scratch folder is called `weighbridge-PID-START-RANDOM`, after the process that owns it and that
//! process's start time. Beside it lies an owner file of the same name with `.owner` at its end. The
//! owner holds it locked as long as it lives, and the kernel releases the lock at any kind of death.
//! The file also names folders beside the scratch folder that belong to the same run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::family;

/// How the name of every scratch folder begins.
const PREFIX: &str = "weighbridge-";
/// How the name of every folder beside it begins. Nothing else is ever removed for an owner file.
pub const BESIDE: &str = "models-";
/// An owner file without content is as old as this before it counts as left behind: its owner may be
/// about to write it.
const UNWRITTEN: Duration = Duration::from_secs(60);

/// The scratch folders of this process.
static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A scratch folder of this process. It is removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Locked as long as the folder is in use.
    _owner: File,
}

impl Scratch {
    /// A new scratch folder for this process in `parent`.
    ///
    /// # Errors
    /// What the system says.
    pub fn new_in(parent: &Path) -> io::Result<Scratch> {
        let pid = std::process::id();
        let start = family::start_time(pid).unwrap_or(0);
        let name = format!("{PREFIX}{pid}-{start}-{:08x}", rand::random::<u32>());
        let path = std::path::absolute(parent.join(name))?;
        // The owner file comes first, so that no folder is ever without one.
        let mut owner =
            OpenOptions::new().append(true).create_new(true).mode(0o600).open(owner_of(&path))?;
        // Where the file system has no locks, the process id and its start time have to do.
        let _unsupported = owner.lock();
        owner.write_all(format!("host {}\nboot {}\n", host(), boot()).as_bytes())?;
        fs::DirBuilder::new().mode(0o700).create(&path).inspect_err(|_| {
            // The folder's error is the one to report.
            let _ = fs::remove_file(owner_of(&path));
        })?;
        live().push(path.clone());
        Ok(Scratch { path, _owner: owner })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What a loader has left running would go on writing here.
        family::end(&|| family::started_for(&self.path), Duration::ZERO);
        remove(&self.path);
        live().retain(|path| *path != self.path);
    }
}

/// The scratch folders that this process has now.
pub fn of_this_process() -> Vec<PathBuf> {
    live().clone()
}

fn live() -> MutexGuard<'static, Vec<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that `folder`, which lies beside the scratch folder, belongs to the same run. Where the
/// scratch folder has no owner file, there is nothing to note.
///
/// # Errors
/// What the system says.
pub fn note(scratch: &Path, folder: &Path) -> io::Result<()> {
    let Some(name) = folder.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    match OpenOptions::new().append(true).open(owner_of(scratch)) {
        Ok(mut owner) => owner.write_all(format!("beside {name}\n").as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a scratch folder of this process, the folders noted for it, and its owner file.
pub fn remove(path: &Path) {
    let told = fs::read_to_string(owner_of(path)).unwrap_or_default();
    for folder in beside(path, &told).iter().map(PathBuf::as_path).chain([path]) {
        // Another process may still write there for a moment; what remains is swept later.
        for _ in 0..5 {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                _ => break,
            }
        }
    }
    if !path.exists() {
        // The owner file goes last: a folder without one would never be swept.
        let _ = fs::remove_file(owner_of(path));
    }
}

/// Removes every scratch folder in `parent` whose owner is dead, after it has ended the processes
/// that the owner left. Returns the folders.
///
/// Folders of other users, of live owners and of other machines stay.
pub fn sweep(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    entries.flatten().filter_map(|entry| sweep_one(&entry.path())).collect()
}

fn sweep_one(owner: &Path) -> Option<PathBuf> {
    let name = owner.file_name()?.to_str()?.strip_suffix(".owner")?;
    let (pid, start) = read_name(name)?;
    let data = fs::symlink_metadata(owner).ok()?;
    if !data.is_file() || data.uid() != own_uid() {
        return None;
    }
    let mut file = File::open(owner).ok()?;
    // A live owner holds the lock, and so does another sweep.
    file.try_lock().ok()?;
    let mut told = String::new();
    file.read_to_string(&mut told).ok()?;
    let says = |key: &str| told.lines().find_map(|line| line.strip_prefix(key));
    match (says("host "), says("boot ")) {
        (Some(host_told), Some(boot_told)) => {
            let same_boot = boot_told == boot();
            if host_told != host() || (same_boot && family::lives(pid, start)) {
                return None;
            }
        }
        _ => {
            let age = data.modified().ok()?.elapsed().ok()?;
            if age < UNWRITTEN || family::lives(pid, start) {
                return None;
            }
        }
    }
    let folder = owner.with_extension("");
    // Only a folder that is this user's own, and no link to one.
    if let Ok(data) = fs::symlink_metadata(&folder)
        && (!data.is_dir() || data.uid() != own_uid())
    {
        return None;
    }
    family::end(&|| family::started_for(&folder), Duration::ZERO);
    remove(&folder);
    Some(folder)
}

/// Process id and start time in the name of a scratch folder.
fn read_name(name: &str) -> Option<(u32, u64)> {
    let mut parts = name.strip_prefix(PREFIX)?.split('-');
    let pid = parts.next()?.parse().ok()?;
    let start = parts.next()?.parse().ok()?;
    let random = parts.next()?;
    (random.len() == 8 && parts.next().is_none()).then_some((pid, start))
}

/// The folders that an owner file notes.
fn beside(scratch: &Path, told: &str) -> Vec<PathBuf> {
    let Some(parent) = scratch.parent() else { return Vec::new() };
    let names = told.lines().filter_map(|line| line.strip_prefix("beside "));
    let plain = |name: &&str| name.starts_with(BESIDE) && !name.contains('/');
    let is_folder = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|data| data.is_dir());
    names.filter(plain).map(|name| parent.join(name)).filter(is_folder).collect()
}

fn owner_of(scratch: &Path) -> PathBuf {
    let mut path = scratch.as_os_str().to_owned();
    path.push(".owner");
    PathBuf::from(path)
}

fn own_uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

/// The name of this machine, or of this container.
fn host() -> String {
    read_kernel("hostname")
}

/// Identifies the time since the machine was started.
fn boot() -> String {
    read_kernel("random/boot_id")
}

fn read_kernel(name: &str) -> String {
    let text = fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a dead process left: a folder with a file in it, and its owner file.
    fn left(parent: &Path, name: &str, told: &str) -> PathBuf {
        let folder = parent.join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "x").unwrap();
        fs::write(owner_of(&folder), told).unwrap();
        folder
    }

    fn here() -> String {
        format!("host {}\nboot {}\n", host(), boot())
    }

    /// No process has this id: the kernel's greatest is four million.
    const DEAD: &str = "weighbridge-99999999-1-0123abcd";

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_have_stays() {
        let parent = tempfile::tempdir().unwrap();
        let dead = left(parent.path(), DEAD, &(here() + "beside models-a1\nbeside ../x\n"));
        fs::create_dir(parent.path().join("models-a1")).unwrap();
        fs::create_dir(parent.path().join("models-b2")).unwrap();
        let live = Scratch::new_in(parent.path()).unwrap();
        fs::write(live.path().join("file"), "x").unwrap();
        assert_eq!(sweep(parent.path()), [dead.as_path()]);
        assert!(!dead.exists() && !owner_of(&dead).exists());
        assert!(!parent.path().join("models-a1").exists(), "it was noted");
        assert!(parent.path().join("models-b2").exists(), "nobody noted it");
        let path = live.path().to_owned();
        assert!(path.join("file").exists() && of_this_process().contains(&path));
        drop(live);
        assert!(!of_this_process().contains(&path));
        assert!(!path.exists() && !owner_of(&path).exists());
    }

    #[test]
    fn a_reused_process_id_is_told_by_its_start() {
        let parent = tempfile::tempdir().unwrap();
        let pid = std::process::id();
        let start = family::start_time(pid).unwrap();
        let own = left(parent.path(), &format!("weighbridge-{pid}-{start}-00000000"), &here());
        let other =
            left(parent.path(), &format!("weighbridge-{pid}-{}-00000001", start + 1), &here());
        assert_eq!(sweep(parent.path()), [other]);
        assert!(own.exists(), "its process lives");
    }

    #[test]
    fn locks_other_machines_and_other_names_are_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let locked = left(parent.path(), "weighbridge-99999999-1-00000000", &here());
        let lock = File::open(owner_of(&locked)).unwrap();
        lock.lock().unwrap();
        let elsewhere = "host another\nboot another\n";
        let far = left(parent.path(), "weighbridge-99999999-1-00000001", elsewhere);
        let fresh = left(parent.path(), "weighbridge-99999999-1-00000002", "");
        let odd = left(parent.path(), "weighbridge-notes", &here());
        let alone = parent.path().join("weighbridge-99999999-1-00000003");
        fs::create_dir(&alone).unwrap();
        assert_eq!(sweep(parent.path()), Vec::<PathBuf>::new());
        assert!([&locked, &far, &fresh, &odd, &alone].into_iter().all(|path| path.exists()));
        drop(lock);
        assert_eq!(sweep(parent.path()), [locked]);
        let after_a_restart = format!("host {}\nboot another\n", host());
        let old = left(parent.path(), DEAD, &after_a_restart);
        assert_eq!(sweep(parent.path()), [old]);
    }

    #[test]
    fn a_link_is_never_followed() {
        let (parent, precious) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(precious.path(), parent.path().join(DEAD)).unwrap();
        fs::write(owner_of(&parent.path().join(DEAD)), here()).unwrap();
        assert_eq!(sweep(parent.path()), Vec::<PathBuf>::new());
        assert!(precious.path().exists());
    }

    #[test]
    fn processes_of_the_dead_end_with_their_folder() {
        let parent = tempfile::tempdir().unwrap();
        let dead = left(parent.path(), DEAD, &here());
        let mut child =
            std::process::Command::new("sleep").arg("600").env("TMPDIR", &dead).spawn().unwrap();
        // The kernel shows the environment a moment after the start.
        while !family::started_for(&dead).contains(&child.id()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(sweep(parent.path()), [dead]);
        assert!(!child.wait().unwrap().success());
    }
}
