//! What mutants remember of the files of the load in progress, and the tensors of one file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::loader::format::ImportedModel;
use crate::loader::format::safetensors::{self, Header, PREFIX, TensorInfo};

/// A tensor of a file, and its bytes.
pub(super) type Held = (TensorInfo, Vec<u8>);

/// Every tensor of a safetensors file; none if it is no such file.
pub(super) fn tensors_of(path: &Path) -> Vec<Held> {
    read(path).unwrap_or_default()
}

fn read(path: &Path) -> Option<Vec<Held>> {
    let bytes = fs::read(path).ok()?;
    let start = PREFIX.checked_add(u64::from_le_bytes(*bytes.first_chunk()?))?;
    let start = usize::try_from(start).ok()?;
    let header = safetensors::parse(bytes.get(PREFIX as usize..start)?).ok()?;
    let data = &bytes[start..];
    let held = |info: TensorInfo| {
        let bytes = data.get(info.begin as usize..info.end as usize)?.to_vec();
        Some((info, bytes))
    };
    header.tensors.into_iter().map(held).collect()
}

/// The files of the load in progress.
#[derive(Default)]
pub(super) struct Opened(Mutex<Vec<OneFile>>);

/// A file of the load in progress.
pub(super) struct OneFile {
    /// Its path.
    pub(super) path: PathBuf,
    /// Names of its tensors.
    pub(super) names: BTreeSet<String>,
}

impl Opened {
    fn held(&self) -> MutexGuard<'_, Vec<OneFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A load begins.
    pub(super) fn begin(&self) {
        self.held().clear();
    }

    /// A file of the load was opened. Returns its place among them, from 0.
    pub(super) fn add(&self, path: &Path) -> usize {
        let mut held = self.held();
        held.push(OneFile { path: path.to_owned(), names: BTreeSet::new() });
        held.len() - 1
    }

    /// The header of the file that was opened last.
    pub(super) fn header(&self, header: &Header) {
        if let Some(last) = self.held().last_mut() {
            last.names.extend(header.tensors.iter().map(|tensor| tensor.name.clone()));
        }
    }

    /// The tensors of a model in another format.
    pub(super) fn imported(&self, read: &ImportedModel) {
        let mut held = self.held();
        for tensor in &read.tensors {
            if let Some(file) = held.get_mut(tensor.file) {
                file.names.insert(tensor.info.name.clone());
            }
        }
    }

    /// How many files there are so far.
    pub(super) fn count(&self) -> usize {
        self.held().len()
    }

    /// The path of the first file.
    pub(super) fn first(&self) -> Option<PathBuf> {
        self.held().first().map(|file| file.path.clone())
    }

    /// The place of the file that has a tensor; 0 if none has.
    pub(super) fn place_of(&self, name: &str) -> usize {
        self.held().iter().position(|file| file.names.contains(name)).unwrap_or(0)
    }
}
