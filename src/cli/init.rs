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
    /// For Rust: the folder of the `weighbridge` crate's sources, for Cargo.toml.
    #[arg(long, value_name = "DIR", default_value = ".")]
    weighbridge: PathBuf,
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
    let (files, sources, first) = match arguments.language {
        Language::Python => (PYTHON, String::new(), None),
        Language::Rust => {
            let build = format!("cargo build --release --manifest-path {here}/Cargo.toml");
            (RUST, sources(&arguments.weighbridge)?, Some(build))
        }
    };
    for (name, text) in files {
        let path = folder.join(name);
        let wrong = |error| CommandError::usage(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(wrong)?;
        std::fs::write(&path, text.replace("{weighbridge}", &sources)).map_err(wrong)?;
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

/// The crate's folder, as it goes into a TOML string.
fn sources(folder: &Path) -> Result<String, CommandError> {
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    if !text.contains("name = \"weighbridge\"") {
        return Err(CommandError::usage(format!(
            "{}: not the folder of the weighbridge crate\n  remedy: name it with --weighbridge DIR",
            folder.display()
        )));
    }
    let whole = std::path::absolute(folder).map_err(CommandError::usage)?;
    match whole.to_str().filter(|text| !text.contains(['"', '\\', '\n'])) {
        Some(text) => Ok(text.to_owned()),
        None => {
            Err(CommandError::usage(format!("{}: TOML cannot hold this path", whole.display())))
        }
    }
}
