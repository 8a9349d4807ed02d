//! `weighbridge seal --check`: whether every file of a model is the sealed one.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use crate::cli::progress::watched;
use crate::cli::show::Show;
use crate::cli::{CommandError, exit, fault};
use crate::contract::request;
use crate::loader::Honest;
use crate::loader::error::LoadError;
use crate::loader::progress::Progress;
use crate::loader::read::digest::hex;
use crate::loader::seal::{Seal, make};

/// One file that is not as sealed.
pub struct Difference {
    name: String,
    /// The sealed digest; `None` if the seal does not name the file.
    sealed: Option<String>,
    /// The file's digest; `None` if there is no such file.
    found: Option<String>,
}

/// Hashes every file and compares it with the seal.
///
/// # Errors
/// Those of the seal and its pin, and of files that cannot be read.
pub fn run(model: &Path, seal: &Path, pin: &str, show: Show) -> Result<Vec<Difference>, LoadError> {
    let asked = request::Seal { path: seal.to_path_buf(), sha256: pin.to_owned() };
    let sealed = Seal::read(&asked, &Honest)?;
    let progress = Progress::default();
    let found = watched("checking", show, &|| progress.reading(), || {
        make(model, sealed.chunk_bytes, seal, &progress)
    })?;
    let sealed: BTreeMap<&str, String> =
        sealed.resources().iter().map(|(name, digest)| (name.as_str(), hex(digest))).collect();
    let found: BTreeMap<&str, String> = (found.statement.predicate.resources.iter())
        .map(|resource| (resource.name.as_str(), resource.digest.clone()))
        .collect();
    let mut names: Vec<&str> = sealed.keys().chain(found.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let differs = |name: &&str| sealed.get(name) != found.get(name);
    Ok(names
        .into_iter()
        .filter(differs)
        .map(|name| Difference {
            name: name.to_owned(),
            sealed: sealed.get(name).cloned(),
            found: found.get(name).cloned(),
        })
        .collect())
}

/// Prints the differences; exits with 0 without any, else with 1.
///
/// # Errors
/// If the output cannot be written.
pub fn print(
    differences: &[Difference],
    seal: &Path,
    (json, show): (bool, Show),
    out: &mut dyn Write,
) -> Result<u8, CommandError> {
    let text = match json {
        true => {
            let one = |one: &Difference| serde_json::json!({"name": one.name, "sealed": one.sealed, "found": one.found});
            let all: Vec<_> = differences.iter().map(one).collect();
            let value = serde_json::json!({"seal": seal.display().to_string(), "sound": all.is_empty(), "differences": all});
            format!("{value}\n")
        }
        false => differences.iter().map(line).collect::<String>() + &sum(differences, seal),
    };
    if json || !show.quiet {
        fault::print(out, &text)?;
    }
    Ok(if differences.is_empty() { exit::CORROBORATED } else { exit::REFUTED })
}

fn line(one: &Difference) -> String {
    let none = "none";
    let (sealed, found) = (one.sealed.as_deref(), one.found.as_deref());
    let what = match (sealed, found) {
        (None, _) => "not sealed",
        (_, None) => "missing",
        _ => "differs",
    };
    format!(
        "{what}: {:?}\n  sealed {}\n  found  {}\n",
        one.name,
        sealed.unwrap_or(none),
        found.unwrap_or(none)
    )
}

fn sum(differences: &[Difference], seal: &Path) -> String {
    match differences.len() {
        0 => format!("every file is the sealed one: {}\n", seal.display()),
        1 => format!("1 file is not the sealed one: {}\n", seal.display()),
        more => format!("{more} files are not the sealed ones: {}\n", seal.display()),
    }
}
