//! The files of a model as a plan needs them: `config.json`, the index if there is one, and the header of
//! every weight file. No weight is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::by_config::ByConfig;
use super::folder::Folder;
use super::header::{Declared, WeightFile, header, name_of};
use super::refusal::Refusal;
use crate::contract::Code;

/// A model's configuration and headers.
#[derive(Clone, Debug, PartialEq)]
pub struct Headers {
    /// The content of `config.json`.
    pub config: Value,
    /// The weight files, by name.
    pub files: Vec<WeightFile>,
    /// Their tensors, by name.
    pub tensors: Vec<Declared>,
    /// Where no weight file is there: what the configuration says in place of the headers.
    pub by_config: Option<ByConfig>,
}

impl Headers {
    /// Reads configuration and headers. `model` is a folder, an index, or a file that is the whole model.
    ///
    /// # Errors
    /// What cannot be read, or contradicts itself.
    pub fn read(model: &Path) -> Result<Headers, Refusal> {
        Headers::of(Folder::open(model)?)
    }

    /// The same. If the index is there and none of its files, names are those of the index, and shapes and
    /// element type those of the configuration.
    ///
    /// # Errors
    /// As of [`read`](Self::read); without files, a configuration that names no element type.
    pub fn read_or_configured(model: &Path) -> Result<Headers, Refusal> {
        let folder = Folder::open(model)?;
        let absent = |name: &String| fs::symlink_metadata(folder.path.join(name)).is_err();
        let alone = folder.index.as_ref().filter(|index| index.map.values().all(absent));
        let Some(index) = alone else { return Headers::of(folder) };
        let by_config = ByConfig::of(&folder.config, index.total, &folder.weights)?;
        let (files, tensors) = by_config.listed(&index.map);
        Ok(Headers { config: folder.config, files, tensors, by_config: Some(by_config) })
    }

    /// Reads the header of every file.
    fn of(folder: Folder) -> Result<Headers, Refusal> {
        let Folder { path, config, weights, index } = folder;
        let names: BTreeSet<String> = match &index {
            Some(index) => index.map.values().cloned().collect(),
            None => BTreeSet::from([name_of(&weights)]),
        };
        let (files, tensors) = (Vec::new(), Vec::new());
        let mut headers = Headers { config, files, tensors, by_config: None };
        for name in names {
            let (file, mut tensors) = header(&path.join(&name), headers.files.len())?;
            headers.files.push(WeightFile { name, ..file });
            headers.tensors.append(&mut tensors);
        }
        if let Some(index) = index {
            headers.agree(&index.map, &weights)?;
        }
        headers.tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(headers)
    }

    /// A tensor by name.
    pub fn tensor(&self, name: &str) -> Option<&Declared> {
        let at = self.tensors.binary_search_by(|one| one.name.as_str().cmp(name)).ok()?;
        Some(&self.tensors[at])
    }

    /// Bytes of all headers: what the files have besides tensors. `None` if they are not there.
    pub fn bytes(&self) -> Option<u64> {
        let files: u64 = self.files.iter().map(|file| file.bytes).sum::<Option<u64>>()?;
        Some(files.saturating_sub(self.tensors.iter().map(|tensor| tensor.bytes).sum()))
    }

    /// Holds the index against the headers: each must list what the other has.
    fn agree(&self, map: &BTreeMap<String, String>, index: &Path) -> Result<(), Refusal> {
        let contradicts = |name: &str, expected: String, actual: String| {
            let message = format!("the index and the files contradict each other about {name:?}");
            let refusal = Refusal::file(index, Code::InvalidIndex, message).tensor(name);
            Err(refusal.told(expected, actual, "Write the index again, from the files' headers."))
        };
        let mut found = BTreeSet::new();
        for tensor in &self.tensors {
            let file = &self.files[tensor.file].name;
            match map.get(&tensor.name) {
                Some(listed) if listed == file => found.insert(tensor.name.as_str()),
                Some(listed) => {
                    return contradicts(&tensor.name, format!("in {listed}"), format!("in {file}"));
                }
                None => {
                    let expected = format!("an entry for {file}");
                    return contradicts(&tensor.name, expected, "no entry".to_owned());
                }
            };
        }
        match map.iter().find(|(name, _)| !found.contains(name.as_str())) {
            Some((name, file)) => {
                contradicts(name, format!("the tensor in {file}"), "no such tensor".to_owned())
            }
            None => Ok(()),
        }
    }
}
