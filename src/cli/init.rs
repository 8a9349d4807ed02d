//! `weighbridge init`: a loader of one's own to begin with, which already passes `certify` in part.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::fault::print;
use super::{Stop, exit};

/// What the skeletons are made of: the bundled examples, as they are.
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

/// Write a working loader to begin with: a skeleton that `certify` can weigh.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Its language.
    language: Language,
    /// The folder to write; it must not be there yet, or be empty.
    folder: PathBuf,
    /// Rust: where the `weighbridge` crate's sources are, for Cargo.toml.
    #[arg(long, value_name = "DIR", default_value = ".")]
    weighbridge: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    Rust,
    Python,
}

/// Writes the skeleton, and says what to do next.
///
/// # Errors
/// Where the folder holds something, cannot be written, or the crate is not where it is said to be.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, Stop> {
    let folder = &arguments.folder;
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Stop::usage(format!(
            "{}: not empty; nothing is overwritten",
            folder.display()
        )));
    }
    let here = folder.display();
    let (files, sources, first) = match arguments.language {
        Language::Python => (PYTHON, String::new(), String::new()),
        Language::Rust => {
            let build = format!("  cargo build --release --manifest-path {here}/Cargo.toml\n");
            (RUST, sources(&arguments.weighbridge)?, build)
        }
    };
    for (name, text) in files {
        let path = folder.join(name);
        let wrong = |error| Stop::usage(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(wrong)?;
        std::fs::write(&path, text.replace("{weighbridge}", &sources)).map_err(wrong)?;
    }
    print(
        out,
        &format!(
            "wrote {} files to {here}. Next:\n{first}  weighbridge adapter check {here}/manifest.yaml\n  \
             weighbridge certify --profile host --loader {here}/manifest.yaml\n",
            files.len()
        ),
    )?;
    Ok(exit::CORROBORATED)
}

/// The crate's folder, as it goes into a TOML string.
fn sources(folder: &Path) -> Result<String, Stop> {
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    if !text.contains("name = \"weighbridge\"") {
        return Err(Stop::usage(format!(
            "{}: not the weighbridge crate's folder: name it with --weighbridge DIR",
            folder.display()
        )));
    }
    let whole = std::path::absolute(folder).map_err(Stop::usage)?;
    match whole.to_str().filter(|text| !text.contains(['"', '\\', '\n'])) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Stop::usage(format!("{}: no path that TOML can hold", whole.display()))),
    }
}
