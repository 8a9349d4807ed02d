//! A model's folder as it is published: which of its files a load needs, for which purpose.

use std::path::{Path, PathBuf};

use crate::contract::encoder::{Head, Inference, Pooling};
use crate::contract::request::{Format, Keep, Load};
use crate::contract::{Code, Device, Phase};

use super::error::{LoadError, Result};

/// The weights in one file.
const SINGLE: &str = "model.safetensors";
/// The index of weights in several.
const INDEX: &str = "model.safetensors.index.json";

/// A model's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The folder.
    pub folder: PathBuf,
    /// The weight file, or the index of several.
    pub weights: PathBuf,
}

impl Checkpoint {
    /// Finds a model by its folder, or by its weight file or index.
    ///
    /// # Errors
    /// `not_found` where a folder has neither.
    pub fn find(path: &Path) -> Result<Checkpoint> {
        if !path.is_dir() {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            return Ok(Checkpoint { folder, weights: path.to_owned() });
        }
        let there = [INDEX, SINGLE].map(|name| path.join(name)).into_iter().find(|at| at.exists());
        let weights = there.ok_or_else(|| {
            LoadError::refused(Phase::Open, Code::NotFound, "no weights in the folder")
                .expected(format!("{SINGLE} or {INDEX}"), "neither")
                .remedy("name the folder that holds the model")
                .path(path)
        })?;
        Ok(Checkpoint { folder: path.to_owned(), weights })
    }

    /// A load for a forward pass over token ids: configuration and head, nothing that reads text.
    pub fn tokens(&self, device: Device, admit: bool, head: Head) -> Load {
        let inference = Inference {
            config: Some(self.folder.join("config.json")),
            tokenizer: None,
            template: None,
            generation: None,
            head,
        };
        self.load(device, admit, inference)
    }

    /// A load for generating from conversations: tokenizer, template and end tokens as they lie there.
    pub fn decoder(&self, device: Device, admit: bool) -> Load {
        let maybe = |name: &str| Some(self.folder.join(name)).filter(|path| path.exists());
        let inference = Inference {
            config: Some(self.folder.join("config.json")),
            tokenizer: Some(self.folder.join("tokenizer.json")),
            template: Some(self.folder.join("tokenizer_config.json")),
            generation: maybe("generation_config.json"),
            head: Head { pooling: Pooling::Logits, projection: None, normalize: false },
        };
        self.load(device, admit, inference)
    }

    fn load(&self, device: Device, admit: bool, inference: Inference) -> Load {
        Load {
            path: self.weights.clone(),
            format: Format::Safetensors,
            device,
            keep: Keep::Stored,
            expect_sha256: None,
            seal: None,
            admit,
            inference: Some(inference),
        }
    }
}
