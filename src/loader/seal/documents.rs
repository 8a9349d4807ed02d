//! Compares the documents of a sealed folder (configuration, tokenizer, template, index) with its seal.
//!
//! A load compares the weights, because it has their bytes in hand. Documents are small, and are hashed
//! before the load that reads them; afterwards they must still be the same files.

use std::path::{Path, PathBuf};

use super::make::list;
use super::{Seal, invalid};
use crate::loader::error::{Result, quote};
use crate::loader::read::digest::{hex, of_open};
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::index_and_seal::{
    FILE_NOT_SEALED, FOLDER_NOT_SEALED, SEALED_FILE_DIFFERS, SEALED_FILE_MISSING,
};

/// Endings of files with weights or other bulk, which are no documents.
const BULK: [&str; 12] = [
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".gguf",
    ".apr",
    ".onnx",
    ".h5",
    ".msgpack",
    ".npz",
    ".ot",
];

/// Documents that were found equal to the sealed ones.
#[derive(Debug)]
pub struct SealedDocuments(Vec<OpenFile>);

impl SealedDocuments {
    /// Hashes every document of a folder and compares it with the seal at `seal_path`.
    ///
    /// # Errors
    /// `checksum_mismatch` for a document that differs; `invalid_seal` for one that the seal does not name,
    /// for one of the seal that is missing, and for the seal of a file alone beside a configuration.
    pub fn check(seal: &Seal, folder: &Path, seal_path: &Path) -> Result<SealedDocuments> {
        let sealed: Vec<&(String, [u8; 32])> =
            seal.resources().iter().filter(|(name, _)| is_document(name)).collect();
        if sealed.is_empty() && folder.join("config.json").exists() {
            let message =
                "the seal is that of a weight file alone, and its configuration is not sealed";
            return Err(invalid(FOLDER_NOT_SEALED, message)
                .expected("a seal of the folder", "a seal of one file")
                .path(folder));
        }
        if sealed.is_empty() {
            return Ok(SealedDocuments(Vec::new()));
        }
        let there: Vec<(String, PathBuf)> =
            list(folder, seal_path)?.into_iter().filter(|(name, _)| is_document(name)).collect();
        if let Some((missing, _)) =
            sealed.iter().find(|(name, _)| !there.iter().any(|(found, _)| found == name))
        {
            return Err(invalid(SEALED_FILE_MISSING, "a sealed document is missing")
                .expected(quote(missing), "no such file")
                .path(&folder.join(missing)));
        }
        let compare = |(name, path): &(String, PathBuf)| -> Result<OpenFile> {
            let Some((_, wanted)) = sealed.iter().find(|(sealed, _)| sealed == name) else {
                return Err(invalid(FILE_NOT_SEALED, "a document that the seal does not name")
                    .expected("only sealed documents", quote(name))
                    .path(path));
            };
            let source = OpenFile::open(path)?;
            let found = of_open(&source)?;
            if found != *wanted {
                return Err(invalid(SEALED_FILE_DIFFERS, "the document is not the sealed one")
                    .expected(hex(wanted), hex(&found))
                    .path(path));
            }
            Ok(source)
        };
        there.iter().map(compare).collect::<Result<_>>().map(SealedDocuments)
    }

    /// Whether the documents are still the files that were compared.
    ///
    /// # Errors
    /// `file_changed`.
    pub fn unchanged(&self) -> Result<()> {
        self.0.iter().try_for_each(OpenFile::unchanged)
    }
}

/// Whether a file is a document, by its name.
fn is_document(name: &str) -> bool {
    !BULK.iter().any(|ending| name.ends_with(ending))
}
