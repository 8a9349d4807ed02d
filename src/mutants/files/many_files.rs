//! Mutants that are right up to some number of files, or of entries and bytes of the metadata.

use std::sync::Mutex;
use std::sync::PoisonError;

use sha2::{Digest, Sha256};

use super::seals::Compared;
use super::several::Several;
use crate::contract::request::Format;
use crate::loader::LoadDecisions;
use crate::loader::error::Result;
use crate::loader::format::safetensors::{self, Header};
use crate::loader::read::file::OpenFile;
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "gates-of-sixteen-files",
        lie: "applies the gates to the first sixteen files of a model",
        seen_in: "fixed tables of open files",
        needs_gpu: false,
        make: || reference(Several::gated(|place| place < 16)),
    },
    Mutant {
        name: "sixty-fifth-file-zero",
        lie: "leaves the tensors of the sixty-fifth and of every later file zero",
        seen_in: "sets of files as bits of one word",
        needs_gpu: false,
        make: || reference(Several::written(|place| place < 64)),
    },
    Mutant {
        name: "seal-of-sixteen-files",
        lie: "compares the first sixteen files of a model with its seal",
        seen_in: "fixed tables of open files",
        needs_gpu: false,
        make: || reference(Compared::when(|_, file| file <= 16)),
    },
    Mutant {
        name: "pin-of-sixteen-files",
        lie: "reports and compares the digest of the first sixteen files of a model",
        seen_in: "fixed tables of open files",
        needs_gpu: false,
        make: || reference(FirstSixteen::default()),
    },
    Mutant {
        name: "metadata-of-64-kib",
        lie: "keeps the first 65,535 bytes of each value of the metadata",
        seen_in: "lengths of 16 bits",
        needs_gpu: false,
        make: || {
            reference(Metadata(|header| {
                for value in header.metadata.iter_mut().flat_map(|all| all.values_mut()) {
                    let mut end = value.len().min(65_535);
                    while !value.is_char_boundary(end) {
                        end -= 1;
                    }
                    value.truncate(end);
                }
            }))
        },
    },
    Mutant {
        name: "metadata-of-256-entries",
        lie: "keeps the first 256 entries of the metadata",
        seen_in: "tables of a fixed size",
        needs_gpu: false,
        make: || {
            reference(Metadata(|header| {
                if let Some(all) = &mut header.metadata {
                    *all = std::mem::take(all).into_iter().take(256).collect();
                }
            }))
        },
    },
];

/// The paths of the files of the load in progress, in their order.
#[derive(Default)]
struct FirstSixteen(Mutex<Vec<std::path::PathBuf>>);

impl LoadDecisions for FirstSixteen {
    fn format(&self, asked: Format, _path: &std::path::Path) -> Format {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        asked
    }

    fn source(&self, opened: OpenFile) -> Result<OpenFile> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(opened.path().to_owned());
        Ok(opened)
    }

    fn digest(&self, _path: &std::path::Path, used: [u8; 32]) -> [u8; 32] {
        let paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if paths.len() <= 16 {
            return used;
        }
        let mut all = Sha256::new();
        for bytes in paths.iter().take(16).filter_map(|path| std::fs::read(path).ok()) {
            all.update(Sha256::digest(bytes));
        }
        all.finalize().into()
    }
}

/// Keeps a part of the metadata.
struct Metadata(fn(&mut Header));

impl LoadDecisions for Metadata {
    fn header(&self, text: &[u8]) -> Result<Header> {
        let mut header = safetensors::parse(text)?;
        (self.0)(&mut header);
        Ok(header)
    }
}
