//! A model as it is published: a folder, and which of its files a load needs for which purpose; or one
//! file of a format that holds everything itself.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::contract::inference::{Head, Inference};
use crate::contract::request::{Format, Keep, Load};
use crate::contract::{Code, Device, Phase};

use crate::loader::error::{LoadError, Result};

/// The weights in one file.
const SINGLE: &str = "model.safetensors";
/// The index of weights in several.
const INDEX: &str = "model.safetensors.index.json";

/// A model's folder, or its one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The folder.
    pub folder: PathBuf,
    /// The weight file, or the index of several.
    pub weights: PathBuf,
    /// Its format, by its name: people say it that way.
    pub format: Format,
}

impl Checkpoint {
    /// Finds a model by its folder, or by its weight file or index. A name that ends in `.gguf` or
    /// `.apr` says that the file is of that format.
    ///
    /// # Errors
    /// `not_found` where a folder has neither.
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
        let there = [INDEX, SINGLE].map(|name| path.join(name)).into_iter().find(|at| at.exists());
        let weights = there.ok_or_else(|| {
            LoadError::refused(Phase::Open, Code::NotFound, "no weights in the folder")
                .expected(format!("{SINGLE} or {INDEX}"), "neither")
                .remedy("name the folder that holds the model")
                .path(path)
        })?;
        Ok(Checkpoint { folder: path.to_owned(), weights, format: Format::Safetensors })
    }

    /// A load for a forward pass over token ids: configuration and head, nothing that reads text.
    pub fn tokens(&self, device: Device, admit: bool, head: Head) -> Load {
        let inference = Inference {
            config: self.beside("config.json"),
            tokenizer: None,
            template: None,
            generation: None,
            head,
        };
        self.load(device, admit, inference)
    }

    /// A load for generating from conversations: tokenizer, template and end tokens as they lie there.
    pub fn decoder(&self, device: Device, admit: bool) -> Load {
        let inference = Inference {
            config: self.beside("config.json"),
            tokenizer: self.beside("tokenizer.json"),
            template: self.beside("tokenizer_config.json"),
            generation: self.beside("generation_config.json").filter(|path| path.exists()),
            head: Head::Logits {},
        };
        self.load(device, admit, inference)
    }

    /// Such a file of the folder; none where the weights' own file says what would be in it.
    pub fn beside(&self, name: &str) -> Option<PathBuf> {
        self.format.is_usual().then(|| self.folder.join(name))
    }

    fn load(&self, device: Device, admit: bool, inference: Inference) -> Load {
        Load {
            path: self.weights.clone(),
            format: self.format,
            device,
            keep: Keep::Stored,
            expect_sha256: None,
            seal: None,
            admit,
            inference: Some(inference),
        }
    }
}
