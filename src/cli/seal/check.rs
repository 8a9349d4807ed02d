//! `weighbridge seal --check` and `--signature`: whether every file of a model is the sealed, or the signed one.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use crate::cli::progress::watched;
use crate::cli::show::Show;
use crate::cli::signed::Signature;
use crate::cli::{CommandError, exit, fault};
use crate::contract::request;
use crate::loader::Honest;
use crate::loader::error::LoadError;
use crate::loader::progress::Progress;
use crate::loader::read::digest::hex;
use crate::loader::seal::difference::Difference;
use crate::loader::seal::{Made, Seal, make};

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
            wanted: sealed.get(name).cloned(),
            found: found.get(name).cloned(),
        })
        .collect())
}

/// Compares what was hashed with a signature.
///
/// # Errors
/// Those of files that cannot be read.
pub fn signed(
    signature: &Signature,
    model: &Path,
    seal: &Path,
    made: &Made,
) -> Result<Vec<Difference>, LoadError> {
    signature.files.differences(model, made, &[&signature.path, seal])
}

/// Prints the differences from `by`, which is `sealed` or `signed` and the file that says so; exits with 0 without
/// any, else with 1.
///
/// # Errors
/// If the output cannot be written.
pub fn print(
    differences: &[Difference],
    by: (&str, &Path),
    (json, show): (bool, Show),
    out: &mut dyn Write,
) -> Result<u8, CommandError> {
    let (word, file) = by;
    let text = match json {
        true => {
            let one = |one: &Difference| serde_json::json!({"name": one.name, word: one.wanted, "found": one.found});
            let all: Vec<_> = differences.iter().map(one).collect();
            let value = serde_json::json!({
                if word == "sealed" { "seal" } else { "signature" }: file.display().to_string(),
                "sound": all.is_empty(),
                "differences": all,
            });
            format!("{value}\n")
        }
        false => {
            differences.iter().map(|one| line(one, word)).collect::<String>()
                + &sum(differences, by)
        }
    };
    if json || !show.quiet {
        fault::print(out, &text)?;
    }
    Ok(if differences.is_empty() { exit::CORROBORATED } else { exit::REFUTED })
}

fn line(one: &Difference, word: &str) -> String {
    let none = "none";
    let (wanted, found) = (one.wanted.as_deref(), one.found.as_deref());
    let what = match (wanted, found) {
        (None, _) => format!("not {word}"),
        (_, None) => "missing".to_owned(),
        _ => "differs".to_owned(),
    };
    format!(
        "{what}: {:?}\n  {word} {}\n  found  {}\n",
        one.name,
        wanted.unwrap_or(none),
        found.unwrap_or(none)
    )
}

fn sum(differences: &[Difference], (word, file): (&str, &Path)) -> String {
    match differences.len() {
        0 => format!("every file is the {word} one: {}\n", file.display()),
        1 => format!("1 file is not the {word} one: {}\n", file.display()),
        more => format!("{more} files are not the {word} ones: {}\n", file.display()),
    }
}
