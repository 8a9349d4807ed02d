//! The end of a loader on request, and the files that it has left by then.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use super::{CaseEnd, CaseRun};
use crate::harness::client::{Ending, GOODBYE};
use crate::harness::evidence::residue::listing;

impl CaseRun<'_> {
    /// Asks the loader to leave. What it held is gone with it.
    ///
    /// # Errors
    /// Untested, where the loader runs in this process.
    pub fn dismiss(&mut self) -> Result<Ending, CaseEnd> {
        // How a thread of this process ends says nothing.
        let _pid = self.pid()?;
        self.loaded.clear();
        self.replaced.clear();
        let ending = self.client.leave(GOODBYE.max(self.context.setting.patience));
        let waited = Duration::from_micros(ending.elapsed_us);
        self.loader_time += waited;
        self.context.waiting.spend(waited);
        Ok(ending)
    }

    /// Notes which files there are beside those of the case.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn note_files(&mut self) -> io::Result<()> {
        self.noted = listing(self.folder)?;
        Ok(())
    }

    /// The files that are new since then and no inputs of the harness, and those in the folder of the loader's process. What the judge
    /// asked for was taken from there before.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn left_files(&self) -> io::Result<Vec<String>> {
        let name = |path: &PathBuf, of: &Path| {
            path.strip_prefix(of).unwrap_or(path).to_string_lossy().escape_debug().to_string()
        };
        let beside = listing(self.folder)?;
        let own = self.inputs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let known = |path: &PathBuf| self.noted.contains_key(path) || own.contains(path);
        let beside = beside.keys().filter(|path| !known(path));
        let mut all: Vec<String> =
            beside.map(|path| format!("{} beside the files", name(path, self.folder))).collect();
        let own = self.work.parent().unwrap_or(self.work);
        let within = listing(own)?;
        let within = within.keys().filter(|path| *path != self.work);
        all.extend(within.map(|path| format!("{} in its folder", name(path, own))));
        Ok(all)
    }
}
