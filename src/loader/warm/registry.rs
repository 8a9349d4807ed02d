//! Reads and validates a registry of models.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::contract::inference::{Compute, Inference};
use crate::contract::registry::{RegisteredModel, Registry};
use crate::contract::request::{DtypePolicy, Format, Load, Seal};
use crate::contract::{Device, Phase};
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::read::digest;
use crate::loader::read::file::refused_by_system;
use crate::loader::remedies::Cause;
use crate::loader::remedies::registry::{
    REGISTRY_EMPTY, REGISTRY_ENTRY, REGISTRY_FORM, REGISTRY_MISSING, REGISTRY_NOT_UTF8,
};

/// A validated registry, and the folder that its paths are relative to.
#[derive(Clone, Debug)]
pub struct Models {
    /// The models, in the registry's order.
    pub all: Vec<RegisteredModel>,
    root: PathBuf,
}

impl Models {
    /// Reads a registry.
    ///
    /// # Errors
    /// `invalid_registry`, with the entry at fault.
    pub fn read(path: &Path) -> Result<Models> {
        let root = path.parent().unwrap_or(Path::new("")).to_owned();
        let bytes = std::fs::read(path).map_err(|error| unreadable(&error).path(path))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            invalid(REGISTRY_NOT_UTF8, "the registry is not UTF-8")
                .expected("UTF-8", error)
                .path(path)
        })?;
        Models::parse(&text, root).map_err(|error| error.path(path))
    }

    /// Reads a registry's text; paths are relative to `root`.
    ///
    /// # Errors
    /// As above.
    pub fn parse(text: &str, root: PathBuf) -> Result<Models> {
        let registry: Registry = serde_yaml::from_str(text).map_err(|error| {
            // The first line holds the error and its position; the rest shows the text.
            let told = error.to_string();
            let told = told.lines().next().unwrap_or_default().trim_start_matches("error: ");
            invalid(REGISTRY_FORM, "not in a registry's form").expected("a registry", told)
        })?;
        if registry.models.is_empty() {
            return Err(invalid(REGISTRY_EMPTY, "no model").expected("at least one model", 0));
        }
        let mut ids = BTreeSet::new();
        for model in &registry.models {
            check(model)?;
            if !ids.insert(model.id.as_str()) {
                let id = quote(&model.id);
                let cause = REGISTRY_ENTRY.about([&id]);
                return Err(invalid(cause, format!("model {id} occurs twice"))
                    .expected("an id of its own", quote(&model.id)));
            }
        }
        Ok(Models { all: registry.models, root })
    }

    /// Builds the load request for a model.
    ///
    /// # Errors
    /// `invalid_registry` for a malformed digest.
    pub fn request(&self, model: &RegisteredModel, device: Device) -> Result<Load> {
        let folder = self.root.join(&model.folder);
        Ok(Load {
            path: folder.join(&model.weights),
            format: Format::Safetensors,
            device,
            keep: DtypePolicy::Stored,
            expect_sha256: Some(digest::hex(&expected(model)?)),
            seal: model
                .seal
                .as_ref()
                .map(|seal| Seal { path: folder.join(&seal.file), sha256: seal.pin.clone() }),
            admit: true,
            parallel: None,
            inference: Some(Inference {
                config: Some(folder.join(&model.config)),
                tokenizer: model.tokenizer.as_ref().map(|path| folder.join(path)),
                template: None,
                generation: None,
                head: model.head.clone(),
                compute: Compute::Exact,
            }),
        })
    }

    /// Joins `path` to the model's folder.
    pub fn path(&self, model: &RegisteredModel, path: &Path) -> PathBuf {
        self.root.join(&model.folder).join(path)
    }
}

/// Returns the expected digest: that of the one file, or the SHA-256 over the digests of several
/// files, in the order of their names.
fn expected(model: &RegisteredModel) -> Result<[u8; 32]> {
    let all: Vec<[u8; 32]> =
        model.sha256.values().map(|text| digest::parse("sha256", text)).collect::<Result<_>>()?;
    Ok(match all.as_slice() {
        [one] => *one,
        several => Sha256::digest(several.as_flattened()).into(),
    })
}

fn check(model: &RegisteredModel) -> Result<()> {
    let id = quote(&model.id);
    let wrong = |what: &str| invalid(REGISTRY_ENTRY.about([&id]), format!("model {id}: {what}"));
    if model.id.is_empty() {
        return Err(wrong("an empty id").expected("an id", "none"));
    }
    if model.sha256.is_empty() {
        return Err(wrong("no digest").expected("the SHA-256 of every weight file", "none"));
    }
    if let Err(error) = expected(model) {
        return Err(wrong("a digest that is not a SHA-256")
            .expected("64 hex digits", error.failure().actual.clone().unwrap_or_default()));
    }
    if !(model.tolerance.is_finite() && model.tolerance > 0.0) {
        return Err(wrong("a wrong tolerance").expected("a number above zero", model.tolerance));
    }
    if model.dimension == 0 {
        return Err(wrong("a wrong dimension").expected("at least 1", 0));
    }
    if let Some(seal) = &model.seal
        && digest::parse_hex(seal.pin.as_bytes()).is_none()
    {
        return Err(
            wrong("a pin that is not a SHA-256").expected("64 hex digits", quote(&seal.pin))
        );
    }
    let paths =
        [&model.folder, &model.config, &model.weights, &model.golden.input, &model.golden.output];
    let paths = paths.into_iter().chain(model.seal.as_ref().map(|seal| &seal.file));
    match paths.into_iter().find(|path| path.is_absolute() || leaves(path)) {
        None => Ok(()),
        Some(path) => Err(wrong("a path that leaves the registry's folder")
            .expected("a path inside the registry's folder", quote(&path.display().to_string()))),
    }
}

fn leaves(path: &Path) -> bool {
    path.components().any(|part| matches!(part, std::path::Component::ParentDir))
}

/// Converts the error of reading the registry.
fn unreadable(error: &io::Error) -> LoadError {
    match error.kind() {
        io::ErrorKind::NotFound => {
            invalid(REGISTRY_MISSING, "the registry is missing").expected("a readable file", error)
        }
        _ => refused_by_system("cannot read the registry", "a readable file", error),
    }
}

fn invalid(cause: impl Into<Cause>, message: impl Into<String>) -> LoadError {
    LoadError::refused(Phase::Request, cause, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "
models:
  - id: E2
    name: a
    folder: E2
    config: config.json
    weights: model.safetensors
    head: {embedding: {pooling: none, projection: projection, normalize: true}}
    dtype: F32
    dimension: 3
    sha256: {model.safetensors: DIGEST}
    golden: {input: golden/test_input.bin, output: golden/golden_output.bin}
    tolerance: 1.0e-5
";

    fn read(change: impl Fn(String) -> String) -> std::result::Result<Models, String> {
        let text = change(ONE.replace("DIGEST", &"ab".repeat(32)));
        Models::parse(&text, PathBuf::from("/models")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_registry_is_read_whole() {
        let models = read(|text| text).unwrap();
        let load = models.request(&models.all[0], Device::Cpu).unwrap();
        assert_eq!(load.path, Path::new("/models/E2/model.safetensors"));
        assert_eq!(load.expect_sha256, Some("ab".repeat(32)));
        assert!(load.admit && load.seal.is_none());
        let pin = "cd".repeat(32);
        let models =
            read(|text| format!("{text}    seal: {{file: seal.json, pin: {pin}}}\n")).unwrap();
        let seal = models.request(&models.all[0], Device::Cpu).unwrap().seal.unwrap();
        assert_eq!((seal.path.as_path(), seal.sha256), (Path::new("/models/E2/seal.json"), pin));
    }

    #[test]
    fn mistakes_are_named() {
        type Change = fn(String) -> String;
        let changes: [(Change, &str); 10] = [
            (|text| text + "    seal: {file: seal.json, pin: abc}\n", "pin"),
            (
                |text| {
                    format!("{text}    seal: {{file: ../seal.json, pin: {}}}\n", "ab".repeat(32))
                },
                "leaves",
            ),
            (|text| text.replace("dimension: 3", "dimension: 0"), "dimension"),
            (|text| text.replace("1.0e-5", "-1.0"), "tolerance"),
            (|text| text.replace("abab", "xyxy"), "digest"),
            (|text| text.replace("folder: E2", "folder: ../E2"), "leaves the registry's folder"),
            (|text| text.replace("    dtype: F32\n", ""), "dtype"),
            (|text| text.replace("name: a", "name: a\n    colour: red"), "colour"),
            (|text| format!("{text}{}", text.replace("\nmodels:", "")), "occurs twice"),
            (|_| "models: []".to_owned(), "no model"),
        ];
        for (change, word) in changes {
            let error = read(change).unwrap_err();
            assert!(error.starts_with("[EMB-E034] INVALID_REGISTRY"), "{error}");
            assert!(error.contains(word), "{word}: {error}");
            assert!(error.contains("remedy"), "{error}");
        }
    }
}
