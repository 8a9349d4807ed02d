//! The folders of a run, and what of them the loader sees from its cell.
//!
//! `cases` holds fixtures and models, which a loader only reads. `work` is the loader's own, with a folder for
//! each of its processes. `logs` is the judge's.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};

use super::setting::Setting;
use crate::harness::cell::{Level, Views};
use crate::harness::client::Spawn;
use crate::harness::manifest::Manifest;
use crate::harness::scratch::{BESIDE, note};

/// The folder of shared memory. A cell has one of its own.
const SHARED_MEMORY: &str = "/dev/shm";

impl Setting {
    /// The folder of fixtures and models.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn cases(&self) -> io::Result<PathBuf> {
        self.own_folder("cases")
    }

    /// The folder that the loader may write to.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn work(&self) -> io::Result<PathBuf> {
        self.own_folder("work")
    }

    /// The folder beside the scratch folder in which a cell shows models under published names; `None`
    /// without a cell, where every folder is seen.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn shelf(&self) -> io::Result<Option<PathBuf>> {
        if self.isolation.level() != Level::Namespaces {
            return Ok(None);
        }
        let name = self.scratch.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{BESIDE}{}", name.rsplit('-').next().unwrap_or_default());
        let shelf = self.scratch.with_file_name(name);
        if !shelf.is_dir() {
            note(&self.scratch, &shelf)?;
            fs::create_dir_all(&shelf)?;
        }
        Ok(Some(shelf))
    }

    /// How to start a loader for this run.
    ///
    /// # Errors
    /// If a folder cannot be made.
    pub fn spawn(&self, manifest: &Manifest) -> io::Result<Spawn> {
        let (cases, work, logs) = (self.cases()?, self.work()?, self.own_folder("logs")?);
        let random = rand::random::<u64>();
        let own = work.join(format!("{random:016x}"));
        make(&own)?;
        let mut spawn = manifest.spawn(&own);
        // Workers share the folder, not the log.
        spawn.log = logs.join(format!("stderr-{random:016x}.log"));
        spawn.transcript.clone_from(&self.transcript);
        let profile = profile(&mut spawn);
        let Some(mut cell) = self.isolation.cell.clone() else { return Ok(spawn) };
        let order = &mut cell.order;
        order.told = Some(logs.join(format!("told-{random:016x}.json")));
        if let Some(user) = order.user {
            chown(&work, Some(user), Some(user))?;
            // A loader that runs already can put a link in its place.
            lchown(&own, Some(user), Some(user))?;
            fs::set_permissions(&self.scratch, fs::Permissions::from_mode(0o711))?;
        }
        order.views = Views {
            hidden: [self.secret.hidden.as_slice(), std::slice::from_ref(&self.scratch)].concat(),
            blank: self.secret.blank.clone(),
            readable: [Some(cases), self.shelf()?].into_iter().flatten().collect(),
            writable: profile.into_iter().chain([work.clone()]).collect(),
        };
        let needed = [Some(&manifest.folder), Some(&manifest.program), self.checkpoint.as_ref()];
        let in_memory = |path: &&PathBuf| path.starts_with(SHARED_MEMORY);
        order.views.readable.extend(needed.into_iter().flatten().filter(in_memory).cloned());
        // The user's caches can be read only, and a loader would leave word for its next process there.
        for (name, folder) in [("XDG_CACHE_HOME", "cache"), ("CUDA_CACHE_PATH", "cache/cuda")] {
            let kept = spawn.set.contains_key(name.as_ref() as &std::ffi::OsStr);
            if !kept {
                spawn.set.insert(name.into(), work.join(folder).into_os_string());
            }
        }
        spawn.cell = Some(cell);
        Ok(spawn)
    }

    fn own_folder(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.scratch.join(name);
        make(&folder)?;
        Ok(folder)
    }
}

/// In a build that measures its own coverage, loaders write their profiles where the judge writes its own.
/// Returns that folder.
fn profile(spawn: &mut Spawn) -> Option<PathBuf> {
    if !cfg!(coverage) {
        return None;
    }
    let name = "LLVM_PROFILE_FILE";
    let file = std::env::var_os(name).map(PathBuf::from)?;
    let folder = file.parent().map(Path::to_owned);
    spawn.set.insert(name.into(), file.into_os_string());
    folder
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
