//! The option `--seal` of the commands that run a model: every file that they use is the sealed one.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::contract::request;
use crate::loader::Honest;
use crate::loader::error::LoadError;
use crate::loader::open::checkpoint::Checkpoint;
use crate::loader::seal::Seal;
use crate::loader::seal::documents::SealedDocuments;

/// The pin of a seal, and where the seal is.
#[derive(Clone, Debug, Default, Args)]
pub struct SealArgs {
    /// Compare every byte of the model with its seal, and refuse it if one differs. PIN is the digest that
    /// `weighbridge seal` printed.
    #[arg(long, value_name = "PIN")]
    seal: Option<String>,
    /// Where the seal is. The default is where `weighbridge seal` writes it.
    #[arg(long, value_name = "FILE", requires = "seal")]
    seal_file: Option<PathBuf>,
}

/// The seal of a load, and the documents that were compared with it.
#[derive(Debug, Default)]
pub struct Sealed {
    /// For the load, which compares the weights.
    pub seal: Option<request::Seal>,
    documents: Option<SealedDocuments>,
}

impl SealArgs {
    /// Reads the seal and compares the model's documents with it; nothing without `--seal`.
    ///
    /// # Errors
    /// Those of the seal, and of documents that differ from it.
    pub fn check(&self, model: &Path, checkpoint: &Checkpoint) -> Result<Sealed, LoadError> {
        let Some(pin) = &self.seal else { return Ok(Sealed::default()) };
        let path = self.seal_file.clone().unwrap_or_else(|| usual_place(model, checkpoint));
        let asked = request::Seal { path, sha256: pin.clone() };
        let seal = Seal::read(&asked, &Honest)?;
        let documents = SealedDocuments::check(&seal, &checkpoint.folder, &asked.path)?;
        Ok(Sealed { seal: Some(asked), documents: Some(documents) })
    }
}

impl Sealed {
    /// Whether the documents are still the files that were compared. To be asked after the load.
    ///
    /// # Errors
    /// `file_changed`.
    pub fn unchanged(&self) -> Result<(), LoadError> {
        self.documents.as_ref().map_or(Ok(()), SealedDocuments::unchanged)
    }
}

/// Where `weighbridge seal` writes the seal of a folder or of a file.
pub fn beside(model: &Path) -> PathBuf {
    if model.is_dir() {
        return model.join("seal.json");
    }
    let mut name = model.file_name().unwrap_or_default().to_os_string();
    name.push(".seal.json");
    model.with_file_name(name)
}

/// The seal of the file, or that of its folder.
fn usual_place(model: &Path, checkpoint: &Checkpoint) -> PathBuf {
    let own = beside(model);
    let folder = checkpoint.folder.join("seal.json");
    if !own.exists() && folder.exists() { folder } else { own }
}
