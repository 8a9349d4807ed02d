//! The options `--seal` and `--signature` of the commands that run a model: every file that they use is the sealed or
//! the signed one.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::NamedTempFile;

use super::signed::{Signature, SignatureArgs};
use crate::contract::{Device, request};
use crate::loader::Honest;
use crate::loader::error::LoadError;
use crate::loader::open::checkpoint::Checkpoint;
use crate::loader::progress::Progress;
use crate::loader::read::file::refused_by_system;
use crate::loader::seal::documents::SealedDocuments;
use crate::loader::seal::{DEFAULT_CHUNK, Seal, make};

/// The pin of a seal, and where the seal is.
#[derive(Clone, Debug, Default, Args)]
pub struct SealArgs {
    /// Compare every byte of the model with its seal, and refuse it if one differs. PIN is the digest that
    /// `weighbridge seal` printed.
    #[arg(long, value_name = "PIN", conflicts_with = "signature")]
    seal: Option<String>,
    /// Where the seal is. The default is where `weighbridge seal` writes it.
    #[arg(long, value_name = "FILE", requires = "seal")]
    seal_file: Option<PathBuf>,
    #[command(flatten)]
    signature: SignatureArgs,
}

/// The seal of a load, and the documents that were compared with it.
#[derive(Debug, Default)]
pub struct Sealed {
    /// For the load, which compares the weights.
    pub seal: Option<request::Seal>,
    documents: Option<SealedDocuments>,
    /// What the files were compared with, in words.
    by: Option<String>,
    /// The seal of signed files, which exists until the load has ended.
    _made: Option<NamedTempFile>,
}

impl SealArgs {
    /// Reads the seal or the signature and compares the model's documents with it; nothing without either.
    ///
    /// # Errors
    /// Those of the seal or the signature, and of files that differ from it.
    pub fn check(&self, model: &Path, checkpoint: &Checkpoint) -> Result<Sealed, LoadError> {
        if let Some(signature) = self.signature.open()? {
            return signed(&signature, &checkpoint.folder);
        }
        let Some(pin) = &self.seal else { return Ok(Sealed::default()) };
        let path = self.seal_file.clone().unwrap_or_else(|| usual_place(model, checkpoint));
        let asked = request::Seal { path, sha256: pin.clone() };
        let by = format!("sealed: documents checked as files, by the seal {pin}");
        let sealed = sealed(&asked, &checkpoint.folder)?;
        Ok(Sealed { seal: Some(asked), documents: Some(sealed), by: Some(by), _made: None })
    }
}

/// Compares the documents of a folder with a seal.
fn sealed(asked: &request::Seal, folder: &Path) -> Result<SealedDocuments, LoadError> {
    let seal = Seal::read(asked, &Honest)?;
    SealedDocuments::check(&seal, folder, &asked.path)
}

/// Compares every file of a folder with its signature. A signature has no digest that a device could check while a
/// file loads. So a seal is made of the files that were compared, and the load checks its bytes with that.
fn signed(signature: &Signature, folder: &Path) -> Result<Sealed, LoadError> {
    let made = make(folder, DEFAULT_CHUNK, &signature.path, &Progress::default())?;
    let except = [signature.path.as_path(), &beside(folder)];
    if let Some(first) = signature.files.differences(folder, &made, &except)?.first() {
        return Err(first.unsigned(folder));
    }
    let scratch = |error: std::io::Error| {
        refused_by_system("cannot write a temporary file", "room in the temporary folder", &error)
    };
    let mut file = NamedTempFile::new().map_err(scratch)?;
    file.write_all(&made.text).map_err(scratch)?;
    let asked = request::Seal { path: file.path().to_path_buf(), sha256: made.sha256 };
    let (count, key) = (signature.files.count(), &signature.key);
    Ok(Sealed {
        documents: Some(sealed(&asked, folder)?),
        seal: Some(asked),
        by: Some(format!("signed: {count} files checked as files, by the key {key}")),
        _made: Some(file),
    })
}

impl Sealed {
    /// After the load: whether the documents are still the files that were compared. Tells on stderr what was checked
    /// as files and what on the device.
    ///
    /// # Errors
    /// `file_changed`.
    pub fn held(&self, device: Device) -> Result<(), LoadError> {
        self.documents.as_ref().map_or(Ok(()), SealedDocuments::unchanged)?;
        if let Some(line) = self.told(device) {
            // A line that cannot be shown changes nothing.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        Ok(())
    }

    fn told(&self, device: Device) -> Option<String> {
        let place = match device {
            Device::Cpu => "in host memory".to_owned(),
            Device::Cuda(_) => format!("on {device}, after the copy"),
        };
        self.by.as_ref().map(|by| format!("{by}; weights checked {place}"))
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
