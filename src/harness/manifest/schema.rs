//! The keys of a manifest.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The content of a manifest file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Name for reports: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Program and arguments. The program is a path relative to the manifest's folder, or a name
    /// that is searched there and then on the PATH. The process's working folder is the manifest's
    /// folder.
    pub command: Vec<String>,
    /// Variables to set. A null value removes a variable that a loader would otherwise have: PATH,
    /// HOME, LD_LIBRARY_PATH, TMPDIR and those whose names begin with `CUDA_`.
    #[serde(default)]
    pub environment: BTreeMap<String, Option<String>>,
    /// Largest resident host memory of the process, in MiB. Without it the harness's limit for the
    /// case applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_mb: Option<u64>,
    /// Whether the loader needs the machine's network. Without it, it has only the loopback interface.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// Files and folders, relative to the manifest's folder, that the loader is made of besides its program:
    /// its scripts and packages. Their digests are in the report, and they may not change during a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// Folder whose Rust sources are scanned for undocumented `unsafe`, relative to the manifest's
    /// folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Commands that build and check the loader from source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<Toolchain>,
    /// Command-line programs that come with the loader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cli: Option<Cli>,
}

/// Commands that run in the manifest's folder. Exit status 0 means success. Leave out a command
/// that does not apply to the loader.
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
    /// The crate whose public names are checked; `None` for loaders that are not a Rust crate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rust_crate: Option<RustCrate>,
}

/// A crate, and its names for what F-BUILD-002 to F-BUILD-006 require.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RustCrate {
    /// Folder of its Cargo.toml, relative to the manifest's folder.
    pub path: PathBuf,
    /// The package's name.
    pub name: String,
    /// Features to turn on.
    #[serde(default)]
    pub features: Vec<String>,
    /// Requirement id to Rust path: the type (002 to 004) or method (005, 006) that meets the
    /// requirement, as another crate would write it. The names in the requirements are only
    /// examples.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
}

/// Command-line programs for users.
///
/// The harness appends the model's folder to each command. To `run` and `chat` it also appends
/// `--gpu` or `--no-gpu`, or `--device cuda:N` for any card but the first, to `run`
/// `--prompt TEXT`, and if a case asks for it, `--verbose` or `--skip-contract`. `chat` reads one turn from each line of its standard input. If a contract
/// gate refuses the model, the exit status must be 5.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cli {
    /// Runs a model once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Vec<String>>,
    /// Holds a conversation with a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<Vec<String>>,
    /// Runs the gates on a model, valid or broken, and reports each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<Vec<String>>,
    /// Shows the content of a model's files, valid or broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspect: Option<Vec<String>>,
}

/// Requirements that a name in a crate meets.
const NAMED: [&str; 5] =
    ["F-BUILD-002", "F-BUILD-003", "F-BUILD-004", "F-BUILD-005", "F-BUILD-006"];

impl Written {
    /// A manifest with only a name and a command.
    pub(super) fn of(name: &str, command: Vec<String>) -> Self {
        Written {
            name: name.to_owned(),
            command,
            environment: BTreeMap::new(),
            memory_limit_mb: None,
            network: false,
            files: Vec::new(),
            source: None,
            toolchain: None,
            cli: None,
        }
    }

    /// Checks what the types cannot express. The error is the key's path, with dots, and what is
    /// wrong with the value.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(plain) {
            let why = format!("expected letters, digits, '-', '_' and '.', found: {:?}", self.name);
            return Err(("name".to_owned(), why));
        }
        for (key, command) in self.commands() {
            match command.first() {
                None => return Err((key.to_owned(), "the command is empty".to_owned())),
                Some(program) if program.trim().is_empty() => {
                    return Err((key.to_owned(), "the program's name is empty".to_owned()));
                }
                Some(_) => {}
            }
            if command.iter().any(|word| word.contains('\0')) {
                return Err((key.to_owned(), "the command contains a zero byte".to_owned()));
            }
        }
        for (name, value) in &self.environment {
            let bad = name.is_empty() || name.contains(['=', '\0']);
            if bad || value.as_ref().is_some_and(|value| value.contains('\0')) {
                let why = format!("not a valid variable name or value: {name:?}");
                return Err(("environment".to_owned(), why));
            }
        }
        let outside = |path: &&PathBuf| {
            !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        };
        if let Some(path) = self.files.iter().find(outside) {
            let why = format!("expected a path below the manifest's folder, found: {path:?}");
            return Err(("files".to_owned(), why));
        }
        if let Some(limit) = self.memory_limit_mb
            && !(1..=1 << 32).contains(&limit)
        {
            let why = format!("expected a value from 1 MiB to 4 PiB, found: {limit}");
            return Err(("memory_limit_mb".to_owned(), why));
        }
        self.rust_crate().map_or(Ok(()), RustCrate::check)
    }

    /// The folders that the manifest names, each with its key.
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
                return Err((key, "expected one of F-BUILD-002 to F-BUILD-006".to_owned()));
            }
            // The path is written into a program that is compiled, so it must not be other code.
            let allowed = |c: char| c.is_alphanumeric() || "_:<>, ".contains(c);
            if path.is_empty() || !path.chars().all(allowed) {
                return Err((key, format!("expected a Rust path, found: {path:?}")));
            }
        }
        Ok(())
    }
}
