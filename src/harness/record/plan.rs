//! The frozen plan of a certification: what is tested, with which suite, and which cases from which
//! seed. Runs on several machines that have the same plan are parts of one certification.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Subject;
use super::merge::{Difference, differences};
use super::whole::{WriteError, json, write_whole};
use crate::harness::hex::hex;

/// Name and version of the plan's format. A reader refuses any other.
pub const FORMAT: &str = "weighbridge.plan/1";

/// A frozen plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenPlan {
    /// [`FORMAT`].
    pub format: String,
    /// SHA-256 of this object as compact JSON in which this field is empty.
    pub digest: String,
    /// What is tested, with which suite.
    pub subject: Subject,
    /// Digests of the loader's files.
    pub adapter: Adapter,
    /// Digests of the files of the GGUF loader that speeds are compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gguf_runtime: Option<Adapter>,
    /// Digest of the run's own checkpoint (of its index, where it has one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Kind of the device: `cpu` or `cuda`.
    pub device: String,
    /// Seed of every part, as 16 hex digits.
    pub seed: String,
    /// The selection of cases as it was typed; `None` for the whole profile.
    pub selection: Option<String>,
    /// Every case, in the order of the spec.
    pub cases: Vec<Planned>,
}

/// SHA-256 digests of a loader's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// Of its manifest; `None` for the bundled loaders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Of the program that is started.
    pub program: String,
    /// Of every other file that its command line names, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// A case of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// `REQUIREMENT::name`.
    pub id: String,
    /// How long it took in the run whose costs were used, in microseconds; `None` where it is unknown.
    pub cost_us: Option<u64>,
    /// Whether every part runs it.
    #[serde(default)]
    pub canary: bool,
}

/// Why a plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// The file cannot be read, or is no plan.
    #[error(
        "expected a plan, found {path}: {why}\n  remedy: make one with `weighbridge certify --plan-only`"
    )]
    NoPlan {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The digest does not match.
    #[error(
        "{path} was changed after it was made: expected the digest of its content, {derived}, found \
         {stored}\n  remedy: make it again with `weighbridge certify --plan-only`"
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The digest in it.
        stored: String,
        /// The digest of its content.
        derived: String,
    },
}

impl FrozenPlan {
    /// The plan with the digest of its content.
    pub fn sealed(mut self) -> Self {
        self.digest = self.derived();
        self
    }

    /// Reads a plan and compares its digest with its content.
    ///
    /// # Errors
    /// [`PlanFileError`].
    pub fn read(path: &Path) -> Result<FrozenPlan, PlanFileError> {
        let no_plan = |why: String| PlanFileError::NoPlan { path: path.to_owned(), why };
        // Checked before opening, because opening a pipe without a writer would block.
        if fs::metadata(path).is_ok_and(|data| !data.is_file()) {
            return Err(no_plan("not a regular file".to_owned()));
        }
        let bytes = fs::read(path).map_err(|error| no_plan(error.to_string()))?;
        let peek: Peek =
            serde_json::from_slice(&bytes).map_err(|error| no_plan(error.to_string()))?;
        let found = peek.format.unwrap_or_else(|| "none".to_owned());
        if found != FORMAT {
            return Err(no_plan(format!("its format is {found}, and this version reads {FORMAT}")));
        }
        let plan: FrozenPlan =
            serde_json::from_slice(&bytes).map_err(|error| no_plan(error.to_string()))?;
        let derived = plan.derived();
        if derived != plan.digest {
            let (path, stored) = (path.to_owned(), plan.digest);
            return Err(PlanFileError::Changed { path, stored, derived });
        }
        Ok(plan)
    }

    /// The file's text.
    ///
    /// # Errors
    /// [`WriteError::Json`].
    pub fn to_json(&self) -> Result<String, WriteError> {
        json(self)
    }

    /// Writes the plan completely or not at all.
    ///
    /// # Errors
    /// As [`write_whole`].
    pub fn write(&self, path: &Path) -> Result<(), WriteError> {
        write_whole(path, self.to_json()?.as_bytes())
    }

    /// What differs between this plan and another one, cases and seed left out.
    pub fn differences(&self, other: &FrozenPlan) -> Vec<Difference> {
        let mut found = differences(&self.subject, &other.subject);
        let (left, right) = (self.conditions(), other.conditions());
        for ((field, left), (_, right)) in left.into_iter().zip(right) {
            if left != right {
                found.push(Difference { field, left, right });
            }
        }
        found
    }

    fn conditions(&self) -> [(&'static str, String); 4] {
        let adapter = |adapter: &Adapter| {
            let mut words = vec![format!("program {}", adapter.program)];
            words.extend(adapter.manifest.iter().map(|sha256| format!("manifest {sha256}")));
            words.extend(adapter.files.iter().map(|(name, sha256)| format!("{name} {sha256}")));
            words.join(", ")
        };
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        [
            ("adapter", adapter(&self.adapter)),
            ("gguf_runtime", or_none(self.gguf_runtime.as_ref().map(adapter))),
            ("model", or_none(self.model.clone())),
            ("device", self.device.clone()),
        ]
    }

    fn derived(&self) -> String {
        let bare = FrozenPlan { digest: String::new(), ..self.clone() };
        // Strings, numbers and maps with string keys always become JSON.
        hex(&Sha256::digest(serde_json::to_vec(&bare).unwrap_or_default()))
    }
}

/// The one field that tells the form.
#[derive(Deserialize)]
struct Peek {
    #[serde(default)]
    format: Option<String>,
}

#[cfg(test)]
mod tests;
