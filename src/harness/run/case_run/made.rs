//! Whether the files of a case are still what the judge made, where its loader could write to them.

use std::io;
use std::path::{Path, PathBuf};

use super::setting::{Reach, Setting};
use super::{CaseEnd, CaseRun};
use crate::harness::cell::Level;
use crate::harness::client::Broken;
use crate::harness::evidence::untouched::Made;

impl Setting {
    /// Whether the loader could write to the files of a case: it has the judge's user, and sees them writable.
    /// The mutants of an audit are the judge's own program.
    fn is_exposed(&self) -> bool {
        let other_user = self.isolation.cell.as_ref().is_some_and(|cell| cell.order.user.is_some());
        matches!(self.reach, Reach::Process)
            && !self.keeps_process
            && self.isolation.level() < Level::Namespaces
            && !other_user
    }
}

impl CaseRun<'_> {
    /// Notes what the judge has made for the case.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn note_made(&mut self) -> io::Result<()> {
        let setting = &self.context.setting;
        if !setting.is_exposed() {
            return Ok(());
        }
        let own = self.folder.to_owned();
        let placed = self.placed.values().map(|model| model.folder.clone());
        let files = self.files.values().map(|file| file.path.clone());
        let mut all: Vec<PathBuf> =
            placed.chain(files).filter(|path| !path.starts_with(&own)).collect();
        all.push(own);
        let made = self.making(|this| Made::look(&this.context.setting.scratch, &all))?;
        self.made = Some(made);
        Ok(())
    }

    /// The judge changes a file itself from now on.
    pub fn will_change(&mut self, path: &Path) {
        if let Some(made) = &mut self.made {
            made.forget(path);
        }
    }

    /// The judge has changed what is at a path.
    ///
    /// # Errors
    /// [`CaseEnd::Fault`] if it cannot be read.
    pub fn has_changed(&mut self, path: &Path) -> Result<(), CaseEnd> {
        let looked = self.made.as_mut().map_or(Ok(()), |made| made.look_again(path));
        looked.map_err(|error| CaseEnd::Fault(format!("{}: {error}", path.display())))
    }

    /// How a case ends whose files the loader has changed. What already speaks against the loader stays, and a
    /// fault of the judge may follow from the change.
    ///
    /// # Errors
    /// How the case ends early.
    pub fn untouched(&mut self, done: Result<(), CaseEnd>) -> Result<(), CaseEnd> {
        if matches!(done, Err(CaseEnd::Failed | CaseEnd::Broken(_))) {
            return done;
        }
        let made = self.made.take();
        match made.and_then(|made| self.gathering(|_| made.difference())) {
            Some(what) => Err(CaseEnd::Broken(Broken::Tampered { what })),
            None => done,
        }
    }
}
