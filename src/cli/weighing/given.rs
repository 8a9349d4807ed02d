//! What `--model` may name. Its cases are about safetensors; a file of another format is refused with
//! what to do.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::CommandError;
use crate::contract::{Class, Code, Failure, Phase};
use crate::loader::error::emb;

/// First bytes of a GGUF file.
const MAGIC: &[u8; 4] = b"GGUF";

/// Refuses a GGUF file, and a folder that has nothing else.
///
/// # Errors
/// With what to name in its place.
pub(super) fn safetensors(path: &Path) -> Result<(), CommandError> {
    let Some(file) = gguf(path) else { return Ok(()) };
    let (number, name) = emb(Code::Gguf);
    let found = file.display();
    let what =
        "a GGUF file, and --model takes safetensors: a file, its index, or the folder of either";
    let remedy = format!(
        "name the folder of the safetensors that the file was made from. `weighbridge certify \
         --section PUBLISHED` without --model tries GGUF files that the suite makes, and `weighbridge \
         validate {found}` checks this one"
    );
    let failure = Failure::new(Class::Refused, Phase::Open, Code::Gguf, format!("--model: {what}"));
    let message = format!(
        "[EMB-E{number:03}] {name}: --model: {found}: {what}\n  expected: safetensors\n  found: GGUF\n  \
         remedy: {remedy}"
    );
    let failure = failure.expected("safetensors", "GGUF").remedy(remedy).path(&file);
    Err(CommandError::usage(message).of(failure))
}

/// The GGUF file that a path names: itself, or one in a folder without safetensors.
fn gguf(path: &Path) -> Option<PathBuf> {
    if !path.is_dir() {
        return begins_as_gguf(path).then(|| path.to_owned());
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(path).ok()?.flatten().map(|one| one.path()).collect();
    files.sort();
    let ends = |file: &PathBuf, ending: &str| file.extension().is_some_and(|own| own == ending);
    if files.iter().any(|file| ends(file, "safetensors"))
        || path.join("model.safetensors.index.json").exists()
    {
        return None;
    }
    files.into_iter().find(|file| ends(file, "gguf"))
}

fn begins_as_gguf(path: &Path) -> bool {
    // Checked before opening, because opening a pipe without a writer would block.
    if !std::fs::metadata(path).is_ok_and(|data| data.is_file()) {
        return false;
    }
    let mut first = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && &first == MAGIC
}
