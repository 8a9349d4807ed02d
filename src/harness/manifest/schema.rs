//! The keys of a manifest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A manifest, key by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Name for reports: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Program and arguments. The program is a path, taken from the manifest's folder, or a name,
    /// looked for there and then on the PATH. The process works in the manifest's folder.
    pub command: Vec<String>,
    /// Variables to set, or, with null, to take away from the few that a loader inherits: PATH,
    /// HOME, LD_LIBRARY_PATH, TMPDIR and those beginning with `CUDA_`.
    #[serde(default)]
    pub environment: BTreeMap<String, Option<String>>,
    /// Most host memory that the process may hold resident, in MiB; without it, the harness's own
    /// bound for the case applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_mb: Option<u64>,
    /// Folder whose sources are read for undocumented `unsafe`, relative to the manifest's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Commands that build and check the loader from source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<Toolchain>,
    /// Programs for people that come with the loader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cli: Option<Cli>,
}

/// Commands that are each run in the manifest's folder and pass by exiting with 0. One that is
/// left out is not applicable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toolchain {
    /// Builds the loader with CUDA (F-BUILD-001).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Vec<String>>,
    /// Compiles the unit tests (F-BUILD-007).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_build: Option<Vec<String>>,
    /// Lints, with warnings as errors (F-BUILD-009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lint: Option<Vec<String>>,
    /// Generates the documentation (F-BUILD-010).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<Vec<String>>,
    /// The crate whose public names are probed; absent for loaders that are no Rust crate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rust_crate: Option<RustCrate>,
}

/// A crate, and what it calls the things that F-BUILD-002 to F-BUILD-006 ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RustCrate {
    /// Folder of its Cargo.toml, relative to the manifest's.
    pub path: PathBuf,
    /// The package's name.
    pub name: String,
    /// Features to turn on.
    #[serde(default)]
    pub features: Vec<String>,
    /// Requirement to Rust path: the type (002 to 004) or method (005, 006) that answers it, as
    /// another crate would write it. The names in the requirements are examples; these are the
    /// loader's own.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
}

/// Commands for people.
///
/// Each is started with the model's folder behind its own words; `run` and `chat` with `--gpu` or
/// `--no-gpu`, `run` with `--prompt TEXT`, `chat` with a turn a line on its standard input; and where a
/// case asks for it, with `--verbose` or `--skip-contract`. A contract gate that refuses exits with 5.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cli {
    /// Runs a model once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Vec<String>>,
    /// Talks to a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Vec<String>>,
    /// Runs the gates over a model, broken or not, and tells of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<Vec<String>>,
    /// Shows what a model's files hold, broken or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspect: Option<Vec<String>>,
}

/// Requirements that ask for a name in a crate.
const NAMED: [&str; 5] =
    ["F-BUILD-002", "F-BUILD-003", "F-BUILD-004", "F-BUILD-005", "F-BUILD-006"];

impl Written {
    /// A manifest with nothing but a name and a command.
    pub(super) fn of(name: &str, command: Vec<String>) -> Self {
        Written {
            name: name.to_owned(),
            command,
            environment: BTreeMap::new(),
            memory_limit_mb: None,
            source: None,
            toolchain: None,
            cli: None,
        }
    }

    /// Checks what the types cannot: the key at fault, dotted, and why.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(plain) {
            let why = format!("letters, digits, '-', '_' and '.' expected, got: {:?}", self.name);
            return Err(("name".to_owned(), why));
        }
        for (key, command) in self.commands() {
            match command.first() {
                None => return Err((key.to_owned(), "command is empty".to_owned())),
                Some(program) if program.trim().is_empty() => {
                    return Err((key.to_owned(), "program is an empty string".to_owned()));
                }
                Some(_) => {}
            }
            if command.iter().any(|word| word.contains('\0')) {
                return Err((key.to_owned(), "command holds a zero byte".to_owned()));
            }
        }
        for (name, value) in &self.environment {
            let bad = name.is_empty() || name.contains(['=', '\0']);
            if bad || value.as_ref().is_some_and(|value| value.contains('\0')) {
                return Err(("environment".to_owned(), format!("not a variable: {name:?}")));
            }
        }
        if let Some(limit) = self.memory_limit_mb
            && !(1..=1 << 32).contains(&limit)
        {
            let why = format!("between 1 MiB and 4 PiB expected, got: {limit}");
            return Err(("memory_limit_mb".to_owned(), why));
        }
        self.rust_crate().map_or(Ok(()), RustCrate::check)
    }

    /// The folders named, each with its key.
    pub(super) fn folders(&self) -> Vec<(String, &Path)> {
        let source = self.source.iter().map(|path| ("source".to_owned(), path.as_path()));
        let krate = self.rust_crate();
        let krate = krate.map(|krate| ("toolchain.rust_crate.path".to_owned(), &*krate.path));
        source.chain(krate).collect()
    }

    fn rust_crate(&self) -> Option<&RustCrate> {
        self.toolchain.as_ref()?.rust_crate.as_ref()
    }

    fn commands(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        let tools = self.toolchain.as_ref();
        let cli = self.cli.as_ref();
        [
            ("command", Some(&self.command)),
            ("toolchain.build", tools.and_then(|tools| tools.build.as_ref())),
            ("toolchain.test_build", tools.and_then(|tools| tools.test_build.as_ref())),
            ("toolchain.lint", tools.and_then(|tools| tools.lint.as_ref())),
            ("toolchain.docs", tools.and_then(|tools| tools.docs.as_ref())),
            ("cli.run", cli.and_then(|cli| cli.run.as_ref())),
            ("cli.chat", cli.and_then(|cli| cli.chat.as_ref())),
            ("cli.validate", cli.and_then(|cli| cli.validate.as_ref())),
            ("cli.inspect", cli.and_then(|cli| cli.inspect.as_ref())),
        ]
        .into_iter()
        .filter_map(|(key, command)| Some((key, command?)))
    }
}

impl RustCrate {
    fn check(&self) -> Result<(), (String, String)> {
        for (requirement, path) in &self.names {
            let key = format!("toolchain.rust_crate.names.{requirement}");
            if !NAMED.contains(&requirement.as_str()) {
                return Err((key, "F-BUILD-002 to F-BUILD-006 expected".to_owned()));
            }
            // It is written into a program that is compiled: nothing but a path may go there.
            let allowed = |c: char| c.is_alphanumeric() || "_:<>, ".contains(c);
            if path.is_empty() || !path.chars().all(allowed) {
                return Err((key, format!("Rust path expected, got: {path:?}")));
            }
        }
        Ok(())
    }
}
