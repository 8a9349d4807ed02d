//! A folder with the names of published models, for cases that look for cheating.
//!
//! The loader is not told of this folder, so that it cannot recognise its files as the harness's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::harness::scratch::{BESIDE, note};

/// What the only weight file of a published model is called.
const SINGLE: &str = "model.safetensors";

/// Names of published models. A loader cannot tell files with these names from real models.
const NAMES: [&str; 8] = [
    "all-MiniLM-L6-v2",
    "bge-base-en-v1.5",
    "bert-base-uncased",
    "roberta-large",
    "Qwen2.5-0.5B-Instruct",
    "Llama-3.2-1B",
    "gpt2",
    "my-finetune",
];

/// A folder beside the run's scratch folder, removed when it is dropped.
pub struct PublishedNameDir {
    folder: TempDir,
    first: usize,
    taken: usize,
}

impl PublishedNameDir {
    /// Makes one. `seed` chooses among the names.
    ///
    /// # Errors
    /// If a file operation fails.
    pub fn beside(scratch: &Path, seed: u64) -> io::Result<PublishedNameDir> {
        let parent = scratch.parent().unwrap_or(scratch);
        let folder = tempfile::Builder::new().prefix(BESIDE).tempdir_in(parent)?;
        note(scratch, folder.path())?;
        Ok(PublishedNameDir { folder, first: (seed % NAMES.len() as u64) as usize, taken: 0 })
    }

    /// Makes one on a shelf that is seen from the loader's cell.
    ///
    /// # Errors
    /// If a file operation fails.
    pub fn on(shelf: &Path, seed: u64) -> io::Result<PublishedNameDir> {
        let folder = tempfile::Builder::new().prefix(BESIDE).tempdir_in(shelf)?;
        Ok(PublishedNameDir { folder, first: (seed % NAMES.len() as u64) as usize, taken: 0 })
    }

    /// Moves a file here, as the weights of a model of its own. Returns the new path.
    ///
    /// # Errors
    /// If a file operation fails.
    pub fn take_file(&mut self, path: &Path) -> io::Result<PathBuf> {
        let folder = self.next();
        fs::create_dir(&folder)?;
        let new = folder.join(SINGLE);
        fs::rename(path, &new)?;
        Ok(new)
    }

    /// Moves a model's folder here. Returns the new path.
    ///
    /// # Errors
    /// If a file operation fails.
    pub fn take_folder(&mut self, path: &Path) -> io::Result<PathBuf> {
        let folder = self.next();
        fs::rename(path, &folder)?;
        Ok(folder)
    }

    fn next(&mut self) -> PathBuf {
        let name = NAMES[(self.first + self.taken) % NAMES.len()];
        let turn = self.taken / NAMES.len();
        self.taken += 1;
        match turn {
            0 => self.folder.path().join(name),
            turn => self.folder.path().join(format!("{name}-{turn}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_get_names_of_their_own_outside_of_the_scratch_folder() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = parent.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let mut dir = PublishedNameDir::beside(&scratch, 3).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for turn in 0..2 * NAMES.len() {
            let path = scratch.join("9f2c");
            fs::write(&path, [turn as u8]).unwrap();
            let new = dir.take_file(&path).unwrap();
            assert_eq!(fs::read(&new).unwrap(), [turn as u8]);
            assert!(!new.starts_with(&scratch) && !path.exists());
            assert!(seen.insert(new));
        }
        drop(dir);
        assert!(seen.iter().all(|path| !path.exists()));
    }
}
