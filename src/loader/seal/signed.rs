//! The signed files of a model, as OpenSSF model signing names them, held against the files that are there.
//!
//! Whoever calls has checked the signature. Read is version 1 of the predicate with SHA-256 of whole files, which is
//! how model signing works unless it is told otherwise.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::difference::Difference;
use super::{Made, check_resources, invalid};
use crate::contract::Phase;
use crate::contract::seal::{PREDICATE, Resource, STATEMENT, Subject};
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::read::digest::{hex, of_open};
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::index_and_seal::{SIGNATURE_FORM, SIGNATURE_OTHER_DIGESTS};

/// The statement, as far as it is needed. Other members may be there.
#[derive(Debug, Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Debug, Deserialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Resource>,
}

#[derive(Debug, Deserialize)]
struct Serialization {
    method: String,
    hash_type: String,
    #[serde(default)]
    ignore_paths: Vec<String>,
}

/// Names and digests of the files that somebody signed.
#[derive(Debug)]
pub struct SignedFiles {
    files: BTreeMap<String, [u8; 32]>,
    ignored: Vec<String>,
}

impl SignedFiles {
    /// Reads the statement that was signed.
    ///
    /// # Errors
    /// `invalid_seal` for another form, `unsupported_capability` for other digests than SHA-256 of whole files.
    pub fn parse(statement: &[u8]) -> Result<SignedFiles> {
        let broken = |what: &str| invalid(SIGNATURE_FORM, what);
        let statement: Statement = serde_json::from_slice(statement).map_err(|error| {
            broken("not the statement of a signed model")
                .expected("the members of a signed model", error)
        })?;
        for (what, wanted, found) in [
            ("_type", STATEMENT, &statement.kind),
            ("predicateType", PREDICATE, &statement.predicate_type),
        ] {
            if wanted != found {
                return Err(broken(&format!("{what} is not the one of a signed model"))
                    .expected(wanted, quote(found)));
            }
        }
        let Predicate { serialization, resources } = statement.predicate;
        let other = resources.iter().find(|one| one.algorithm != "sha256");
        let hash_type = other.map_or(&serialization.hash_type, |one| &one.algorithm);
        if serialization.method != "files" || hash_type != "sha256" {
            let found = format!("{} of {}", quote(hash_type), quote(&serialization.method));
            let message = "signed with other digests than SHA-256 of whole files";
            return Err(LoadError::unsupported(Phase::Verify, SIGNATURE_OTHER_DIGESTS, message)
                .expected("sha256 of files", found));
        }
        let digests = check_resources(&statement.subject, &resources, SIGNATURE_FORM)?;
        let count = resources.len();
        let names = resources.into_iter().map(|one| one.name);
        let files: BTreeMap<String, [u8; 32]> = names.zip(digests).collect();
        if files.len() != count {
            return Err(broken("a name twice").expected("each name once", count - files.len()));
        }
        Ok(SignedFiles { files, ignored: serialization.ignore_paths })
    }

    /// Number of signed files.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Every file that is not as it was signed. `made` is the seal of what is there; hidden files, which a seal
    /// leaves out, are hashed if they are signed, and no loader reads the others. The files in `except`, the
    /// signature itself and a seal, need not be signed.
    ///
    /// # Errors
    /// Those of a file that cannot be read.
    pub fn differences(
        &self,
        model: &Path,
        made: &Made,
        except: &[&Path],
    ) -> Result<Vec<Difference>> {
        let alone = self.files.contains_key(".");
        let mut there: BTreeMap<String, String> = BTreeMap::new();
        for one in &made.statement.predicate.resources {
            let name = if alone && !model.is_dir() { "." } else { &one.name };
            there.insert(name.to_owned(), one.digest.clone());
        }
        for name in
            self.files.keys().filter(|name| name.split('/').any(|part| part.starts_with('.')))
        {
            let path = model.join(name);
            if name != "." && path.is_file() {
                there.insert(name.clone(), hex(&of_open(&OpenFile::open(&path)?)?));
            }
        }
        let mut all: Vec<Difference> = Vec::new();
        for (name, digest) in &self.files {
            let (wanted, found) = (Some(hex(digest)), there.remove(name));
            if wanted != found {
                all.push(Difference { name: name.clone(), wanted, found });
            }
        }
        let same = |one: &Path, other: &Path| match (one.canonicalize(), other.canonicalize()) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        };
        there.retain(|name, _| {
            let path = model.join(name);
            !self.ignores(name) && !except.iter().any(|except| same(&path, except))
        });
        all.extend(there.into_iter().map(|(name, found)| Difference {
            name,
            wanted: None,
            found: Some(found),
        }));
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Whether whoever signed left a path out, itself or as part of a folder.
    fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().any(|ignored| Path::new(name).starts_with(ignored))
    }
}

#[cfg(test)]
mod tests;
