//! Finds the files of a published model: a folder with weights and documents, or one file that
//! holds everything.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::contract::inference::{Compute, Head, Inference};
use crate::contract::request::{DtypePolicy, Format, Load};
use crate::contract::{Device, Phase};

use crate::loader::error::{LoadError, Result, quote};
use crate::loader::remedies::files::{
    HUB_CACHE_ROOT, NO_WEIGHTS, ONLY_AN_ADAPTER, ONLY_PYTORCH_WEIGHTS, WEIGHTS_OF_ANOTHER_NAME,
};

/// Name of the weight file.
pub(super) const SINGLE: &str = "model.safetensors";
/// Name of the index of a model in several weight files.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// A model's folder, or its one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The folder.
    pub folder: PathBuf,
    /// The weight file, or the index of several.
    pub weights: PathBuf,
    /// The format of the weights, by the ending of the file's name.
    pub format: Format,
}

impl Checkpoint {
    /// Finds a model by its folder, its weight file or its index. In a folder, `model.safetensors`
    /// counts before an index, as in transformers: an index is often left behind by a tool that
    /// wrote one file. A name that ends in `.gguf` or `.apr` sets the format; any other name means
    /// safetensors.
    ///
    /// # Errors
    /// `not_found` if a folder has neither weight file nor index.
    pub fn find(path: &Path) -> Result<Checkpoint> {
        if !path.is_dir() {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            let format = match path.extension().and_then(OsStr::to_str) {
                Some("gguf") => Format::Gguf,
                Some("apr") => Format::Apr,
                _ => Format::Safetensors,
            };
            return Ok(Checkpoint { folder, weights: path.to_owned(), format });
        }
        let usual = [SINGLE, INDEX].map(|name| path.join(name));
        // Also accept a broken link and a path without permission: opening it returns the exact
        // error.
        let named = |at: &&PathBuf| match at.symlink_metadata() {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::NotFound,
        };
        let there = usual.iter().find(|at| at.exists()).or_else(|| usual.iter().find(named));
        let weights = there.cloned().ok_or_else(|| no_weights(path))?;
        Ok(Checkpoint { folder: path.to_owned(), weights, format: Format::Safetensors })
    }

    /// A load for a forward pass over token ids: configuration and head, no tokenizer.
    pub fn tokens(&self, device: Device, admit: bool, head: Head) -> Load {
        let inference = Inference {
            config: self.beside("config.json"),
            tokenizer: None,
            template: None,
            generation: None,
            head,
            compute: Compute::Exact,
        };
        self.load(device, admit, inference)
    }

    /// A load for generation from conversations, with the folder's tokenizer, template and end
    /// tokens.
    pub fn decoder(&self, device: Device, admit: bool) -> Load {
        let inference = Inference {
            config: self.beside("config.json"),
            tokenizer: self.beside("tokenizer.json"),
            template: self.beside("tokenizer_config.json"),
            generation: self.beside("generation_config.json").filter(|path| path.exists()),
            head: Head::Logits {},
            compute: Compute::Exact,
        };
        self.load(device, admit, inference)
    }

    /// Path of a document in the folder; `None` for GGUF and APR, which contain their documents.
    pub fn beside(&self, name: &str) -> Option<PathBuf> {
        self.format.is_usual().then(|| self.folder.join(name))
    }

    fn load(&self, device: Device, admit: bool, inference: Inference) -> Load {
        Load {
            path: self.weights.clone(),
            format: self.format,
            device,
            keep: DtypePolicy::Stored,
            expect_sha256: None,
            seal: None,
            admit,
            parallel: None,
            inference: Some(inference),
        }
    }
}

/// The error for a folder without weights of the usual name. The remedy depends on its other files.
fn no_weights(folder: &Path) -> LoadError {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let ends = |endings: &[&str]| -> Option<&String> {
        names.iter().find(|name| endings.iter().any(|ending| name.ends_with(ending)))
    };
    let loadable = ends(&[".safetensors.index.json"]).or(ends(&[".safetensors", ".gguf", ".apr"]));
    let pytorch = ends(&[".bin", ".pt", ".pth", ".ckpt"]);
    let adapter = names.iter().find(|name| name.starts_with("adapter_model."));
    if let Some(snapshot) = snapshot(folder) {
        let shown = quote(&snapshot.display().to_string());
        let message = "the folder is the root of a hub cache";
        return LoadError::refused(Phase::Open, HUB_CACHE_ROOT.about([&shown]), message)
            .expected(format!("{SINGLE} or {INDEX}"), "the folders blobs, refs and snapshots")
            .path(folder);
    }
    let (cause, found) = match (loadable, pytorch) {
        _ if adapter.is_some() && loadable.is_none_or(|name| Some(name) == adapter) => {
            (ONLY_AN_ADAPTER.into(), "an adapter alone".to_owned())
        }
        (Some(name), _) => (WEIGHTS_OF_ANOTHER_NAME.about([&quote(name)]), quote(name)),
        (None, Some(name)) => (ONLY_PYTORCH_WEIGHTS.about([&quote(name)]), quote(name)),
        (None, None) => (NO_WEIGHTS.into(), "neither".to_owned()),
    };
    LoadError::refused(Phase::Open, cause, "no weights of the usual name in the folder")
        .expected(format!("{SINGLE} or {INDEX}"), found)
        .path(folder)
}

/// The first snapshot of a folder that is the root of a model in a hub cache.
fn snapshot(folder: &Path) -> Option<PathBuf> {
    let snapshots = folder.join("snapshots");
    if !folder.join("blobs").is_dir() {
        return None;
    }
    let all = std::fs::read_dir(snapshots).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    all.filter(|path| path.is_dir()).min()
}

#[cfg(test)]
mod tests;
