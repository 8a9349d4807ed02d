//! `weighbridge init`: a first loader, which already passes a part of `certify`.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::fault::print;
use super::{CommandError, exit};

/// The files of the skeletons: the bundled examples, unchanged.
pub(super) const PYTHON: &[(&str, &str)] = &[
    ("loader.py", include_str!("../../adapters/python/loader.py")),
    ("manifest.yaml", include_str!("../../adapters/python/manifest.yaml")),
    (
        "weighbridge_adapter/__init__.py",
        include_str!("../../adapters/python/weighbridge_adapter/__init__.py"),
    ),
    (
        "weighbridge_adapter/contract.py",
        include_str!("../../adapters/python/weighbridge_adapter/contract.py"),
    ),
    (
        "weighbridge_adapter/safetensors.py",
        include_str!("../../adapters/python/weighbridge_adapter/safetensors.py"),
    ),
    (
        "weighbridge_adapter/cuda.py",
        include_str!("../../adapters/python/weighbridge_adapter/cuda.py"),
    ),
];
const RUST: &[(&str, &str)] = &[
    ("src/lib.rs", include_str!("../../examples/plain_loader/loader.rs")),
    ("src/main.rs", include_str!("init/main.rs")),
    ("tests/conformance.rs", include_str!("init/conformance.rs")),
    ("Cargo.toml", include_str!("init/Cargo.toml.in")),
    ("manifest.yaml", include_str!("init/manifest.yaml")),
];

/// Write a first loader: a working skeleton that `certify` can test.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The language.
    language: Language,
    /// The folder to write to. It must be new or empty.
    folder: PathBuf,
    /// For Rust: the folder of the `weighbridge` crate's sources, for Cargo.toml. By default the
    /// current folder if it is one, or else the crate of this version on crates.io.
    #[arg(long, value_name = "DIR")]
    weighbridge: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    Rust,
    Python,
}

/// Writes the skeleton, and says what to do next.
///
/// # Errors
/// If the folder is not empty or cannot be written, or the crate is not where it is said to be.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let folder = &arguments.folder;
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CommandError::usage(format!(
            "{}: the folder is not empty; nothing is overwritten",
            folder.display()
        )));
    }
    let here = folder.display();
    let (files, dependency, first) = match arguments.language {
        Language::Python => (PYTHON, String::new(), None),
        Language::Rust => {
            let build = format!("cargo build --release --manifest-path {here}/Cargo.toml");
            (RUST, dependency(arguments.weighbridge.as_deref(), Path::new("."))?, Some(build))
        }
    };
    for (name, text) in files {
        let path = folder.join(name);
        let wrong = |error| CommandError::usage(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(wrong)?;
        std::fs::write(&path, text.replace("{weighbridge}", &dependency)).map_err(wrong)?;
    }
    let next: Vec<String> = first
        .into_iter()
        .chain([
            format!("weighbridge adapter check {here}/manifest.yaml"),
            format!("weighbridge certify --loader {here}/manifest.yaml"),
        ])
        .collect();
    let text = if arguments.json {
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        let value = json!({"folder": here.to_string(), "files": names, "next": next});
        format!("{value}\n")
    } else {
        let lines: String = next.iter().map(|line| format!("  {line}\n")).collect();
        format!("wrote {} files to {here}. Next:\n{lines}", files.len())
    };
    print(out, &text)?;
    Ok(exit::CORROBORATED)
}

/// What Cargo.toml says of the crate: the folder that was named, or this folder if it has the
/// sources, or the version on crates.io. A newer version that speaks another protocol has another
/// minor number, which Cargo does not take.
fn dependency(named: Option<&Path>, here: &Path) -> Result<String, CommandError> {
    let folder = match named {
        Some(folder) if !is_crate(folder) => {
            return Err(CommandError::usage(format!(
                "{}: not the folder of the weighbridge crate\n  remedy: name it with --weighbridge DIR, or leave the option out to take the crate from crates.io",
                folder.display()
            )));
        }
        Some(folder) => folder,
        None if is_crate(here) => here,
        None => return Ok(format!("\"{}\"", env!("CARGO_PKG_VERSION"))),
    };
    let whole = std::path::absolute(folder).map_err(CommandError::usage)?;
    match whole.to_str().filter(|text| !text.contains(['"', '\\', '\n'])) {
        Some(text) => Ok(format!("{{ path = \"{text}\" }}")),
        None => {
            Err(CommandError::usage(format!("{}: TOML cannot hold this path", whole.display())))
        }
    }
}

fn is_crate(folder: &Path) -> bool {
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    text.contains("name = \"weighbridge\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_is_the_named_one_or_this_one_or_the_published_one() {
        let elsewhere = tempfile::tempdir().unwrap();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        let from_sources = format!("{{ path = \"{}\" }}", sources.display());
        let published = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
        assert_eq!(dependency(None, elsewhere.path()).unwrap(), published);
        assert_eq!(dependency(None, sources).unwrap(), from_sources);
        assert_eq!(dependency(Some(sources), elsewhere.path()).unwrap(), from_sources);
        let wrong = dependency(Some(elsewhere.path()), sources).unwrap_err().message;
        assert!(wrong.contains("not the folder") && wrong.contains("remedy"), "{wrong}");
    }
}
