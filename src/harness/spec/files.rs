//! The embedded files, in the order of their paths, and the function that reads them into a
//! [`Spec`].

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::check;
use super::place::SpecError;
use super::read::{
    self, ClassesFile, ErrorCodesFile, HardwareFile, KindsFile, LimitsFile, ProfilesFile,
    RequirementsFile, ResolutionsFile, SectionsFile,
};
use super::registry::Spec;
use super::requirement::{Requirement, Section};
use crate::harness::hex::hex;

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        /// Path from the project's root, and content, of each file.
        const FILES: &[(&str, &str)] = &[
            $((
                concat!("spec/", $name),
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/spec/", $name)),
            )),*
        ];
    };
}

embedded![
    "budget.yaml",
    "cheat.yaml",
    "checklist.yaml",
    "classes.yaml",
    "conduct.yaml",
    "data_quality.yaml",
    "encoders.yaml",
    "error_codes.yaml",
    "gates.yaml",
    "golden.yaml",
    "hardware.yaml",
    "inference.yaml",
    "invariants.yaml",
    "kinds.yaml",
    "limits.yaml",
    "parallel.yaml",
    "preflight.yaml",
    "profiles.yaml",
    "published.yaml",
    "resolutions.yaml",
    "sealed.yaml",
    "sections.yaml",
    "warm.yaml",
];

impl Spec {
    /// Reads and checks the files that were embedded at build time.
    ///
    /// # Errors
    /// The first file that cannot be read, or the first row that breaks a rule, with its place.
    pub fn embedded() -> Result<Self, SpecError> {
        let spec = read()?;
        check::all(&spec)?;
        Ok(spec)
    }
}

/// Reads every file, without checking them against each other.
fn read() -> Result<Spec, SpecError> {
    let mut documents = Vec::new();
    let mut sections: Vec<Section> = Vec::new();
    let mut requirements: Vec<Requirement> = Vec::new();
    let mut resolutions = Vec::new();
    let (mut error_codes, mut uncoded) = (Vec::new(), Vec::new());
    let (mut profiles, mut hardware) = (Vec::new(), Vec::new());
    let (mut limits, mut excluded) = (Vec::new(), Vec::new());
    let mut roles = Vec::new();
    let (mut kinds, mut classes) = (Vec::new(), Vec::new());

    for &(path, text) in FILES {
        match path {
            "spec/sections.yaml" => {
                let file: SectionsFile = read::file(path, text)?;
                documents.extend(file.documents);
                sections.extend(read::placed(path, file.sections));
            }
            "spec/resolutions.yaml" => {
                let file: ResolutionsFile = read::file(path, text)?;
                resolutions.extend(read::placed(path, file.resolutions));
            }
            "spec/error_codes.yaml" => {
                let file: ErrorCodesFile = read::file(path, text)?;
                error_codes.extend(read::placed(path, file.codes));
                uncoded.extend(read::placed(path, file.without_code));
            }
            "spec/profiles.yaml" => {
                let file: ProfilesFile = read::file(path, text)?;
                profiles.extend(read::placed(path, file.profiles));
            }
            "spec/kinds.yaml" => {
                let file: KindsFile = read::file(path, text)?;
                kinds.extend(read::placed(path, file.kinds));
            }
            "spec/classes.yaml" => {
                let file: ClassesFile = read::file(path, text)?;
                classes.extend(read::placed(path, file.classes));
            }
            "spec/hardware.yaml" => {
                let file: HardwareFile = read::file(path, text)?;
                hardware.extend(read::placed(path, file.hardware));
            }
            "spec/limits.yaml" => {
                let file: LimitsFile = read::file(path, text)?;
                limits.extend(read::placed(path, file.limits));
                excluded.extend(read::placed(path, file.excluded));
            }
            _ => {
                let file: RequirementsFile = read::file(path, text)?;
                requirements.extend(read::placed(path, file.requirements));
                roles.extend(read::placed(path, file.roles));
            }
        }
    }

    // Requirements are ordered by section, and within a section as in its file.
    let rank: BTreeMap<&str, usize> =
        sections.iter().enumerate().map(|(rank, section)| (section.id.as_str(), rank)).collect();
    requirements
        .sort_by_key(|row| rank.get(row.section.as_str()).copied().unwrap_or(sections.len()));
    let by_id =
        requirements.iter().enumerate().map(|(index, row)| (row.id.clone(), index)).collect();

    Ok(Spec {
        documents,
        sections,
        requirements,
        by_id,
        resolutions,
        error_codes,
        uncoded,
        profiles,
        hardware,
        limits,
        excluded,
        roles,
        kinds,
        classes,
        digest: digest(FILES),
    })
}

/// SHA-256 over path and content of each file, each with its length in front, so that moving bytes
/// between two files changes the digest.
fn digest(files: &[(&str, &str)]) -> String {
    let mut hasher = Sha256::new();
    for (path, text) in files {
        for part in [path, text] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hex(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_yaml_file_is_embedded_in_path_order() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec");
        let mut present: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".yaml"))
            .map(|name| format!("spec/{name}"))
            .collect();
        present.sort();
        let embedded: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!(embedded, present);
    }

    #[test]
    fn the_digest_sees_content_names_and_borders() {
        let digests = [
            digest(&[("a", "bc")]),
            digest(&[("a", "bd")]),
            digest(&[("ab", "c")]),
            digest(&[("a", ""), ("bc", "")]),
        ];
        for (index, one) in digests.iter().enumerate() {
            assert_eq!(one.len(), 64);
            assert!(digests[index + 1..].iter().all(|other| other != one));
        }
    }
}
