//! A loader's manifest: its name, how it is started, and how it is built and checked from source.
//!
//! ```yaml
//! name: plain-python
//! command: [python3, loader.py]
//! environment: {OMP_NUM_THREADS: "1", LD_LIBRARY_PATH: null}
//! memory_limit_mb: 4096
//! files: [loader.py, package]
//! source: .
//! toolchain:
//!   build: [cargo, build, --features, cuda]
//!   test_build: [cargo, test, --no-run]
//!   lint: [cargo, clippy, --all-targets, --, -D, warnings]
//!   docs: [cargo, doc, --no-deps]
//!   rust_crate:
//!     path: .
//!     name: weighbridge
//!     features: [cuda]
//!     names: {F-BUILD-002: weighbridge::loader::SafeTensorsCudaLoader}
//! cli:
//!   run: [./loader, run]
//!   chat: [./loader, chat]
//! ```
//!
//! Unknown keys are refused, because a misspelt key would silently turn off a check.

mod error;
mod schema;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::client::{Spawn, find_program};

pub use self::error::ManifestError;

pub use self::schema::{Cli, RustCrate, Toolchain, Written};

/// A manifest whose command is known to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The content of the manifest.
    pub written: Written,
    /// Path of the manifest; `None` for the loaders bundled with this program.
    pub file: Option<PathBuf>,
    /// Absolute path of the folder that paths and commands are relative to.
    pub folder: PathBuf,
    /// Absolute path of the command's program.
    pub program: PathBuf,
}

impl Manifest {
    /// Reads a manifest and checks that the program and the folders that it names exist.
    ///
    /// # Errors
    /// [`ManifestError`]. For an error in the YAML text it has line and column.
    pub fn load(path: &Path) -> Result<Manifest, ManifestError> {
        let written = Manifest::read(path)?;
        let file = path.to_path_buf();
        let folder = std::path::absolute(path)
            .map_err(|error| ManifestError::Unreadable { file, why: error.to_string() })?
            .parent()
            .map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
        Manifest::resolve(written, Some(path.to_path_buf()), folder)
    }

    /// Reads a manifest without checking its values, or that what it names exists.
    ///
    /// # Errors
    /// [`ManifestError`]. For an error in the YAML text it has line and column.
    pub fn read(path: &Path) -> Result<Written, ManifestError> {
        let file = path.to_path_buf();
        // Checked before opening, because opening a FIFO without a writer would block.
        if path.metadata().is_ok_and(|data| !data.is_file()) {
            return Err(ManifestError::NotAFile { file });
        }
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ManifestError::Missing { file });
            }
            Err(error) => return Err(ManifestError::Unreadable { file, why: error.to_string() }),
        };
        serde_yaml::from_str(&text).map_err(|error| ManifestError::yaml(path, &error))
    }

    /// The bundled reference loader, run as a child process of this program.
    ///
    /// # Errors
    /// If `current_exe` is no longer an executable file.
    pub fn reference(current_exe: &Path) -> Result<Manifest, ManifestError> {
        let mut manifest = Manifest::bundled(current_exe, "reference", &["loader"])?;
        let program = manifest.program.display().to_string();
        let command = |word: &str| Some(vec![program.clone(), word.to_owned()]);
        manifest.written.cli = Some(Cli {
            run: command("run"),
            chat: command("chat"),
            validate: command("validate"),
            inspect: command("inspect"),
        });
        Ok(manifest)
    }

    /// A bundled mutant, run as a child process of this program.
    ///
    /// # Errors
    /// If `current_exe` is no longer an executable file, or the name is not valid.
    pub fn builtin_mutant(current_exe: &Path, name: &str) -> Result<Manifest, ManifestError> {
        Manifest::bundled(current_exe, &format!("mutant-{name}"), &["mutant", name])
    }

    /// The running program, started again with the argument `loader`.
    ///
    /// # Errors
    /// If `current_exe` is no longer an executable file, or the name is not valid.
    pub fn own(current_exe: &Path, name: &str) -> Result<Manifest, ManifestError> {
        Manifest::bundled(current_exe, name, &["loader"])
    }

    fn bundled(exe: &Path, name: &str, args: &[&str]) -> Result<Manifest, ManifestError> {
        let program = exe.display().to_string();
        let command = std::iter::once(program).chain(args.iter().map(|&arg| arg.to_owned()));
        let folder = exe.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
        Manifest::resolve(Written::of(name, command.collect()), None, folder)
    }

    fn resolve(
        written: Written,
        file: Option<PathBuf>,
        folder: PathBuf,
    ) -> Result<Manifest, ManifestError> {
        let named = || file.clone().unwrap_or_else(|| PathBuf::from(&written.name));
        written.check().map_err(|(key, why)| ManifestError::Value { file: named(), key, why })?;
        for (key, path) in written.folders() {
            if !folder.join(path).is_dir() {
                let why = format!("no such folder: {}", path.display());
                return Err(ManifestError::Value { file: named(), key, why });
            }
        }
        for path in &written.files {
            if !folder.join(path).exists() {
                let (key, why) = ("files".to_owned(), format!("not found: {}", path.display()));
                return Err(ManifestError::Value { file: named(), key, why });
            }
        }
        let path = match written.environment.get("PATH") {
            Some(path) => path.clone().map(OsString::from),
            None => std::env::var_os("PATH"),
        };
        let program = Path::new(&written.command[0]);
        let program = find_program(program, &folder, path.as_deref())
            .map_err(|error| ManifestError::Program { file: named(), why: error.to_string() })?;
        Ok(Manifest { program, written, file, folder })
    }

    /// The loader's name.
    pub fn name(&self) -> &str {
        &self.written.name
    }

    /// Largest resident host memory of the loader, in bytes.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.written.memory_limit_mb.map(|limit| limit << 20)
    }

    /// Absolute path of the folder whose sources are scanned.
    pub fn source(&self) -> Option<PathBuf> {
        self.written.source.as_ref().map(|source| self.folder.join(source))
    }

    /// How to start the loader with this scratch folder. Its working folder is the manifest's
    /// folder.
    pub fn spawn(&self, scratch: &Path) -> Spawn {
        let mut spawn = Spawn::new(&self.program, scratch);
        spawn.args = self.written.command[1..].iter().map(OsString::from).collect();
        spawn.dir.clone_from(&self.folder);
        for (name, value) in &self.written.environment {
            match value {
                Some(value) => {
                    spawn.set.insert(name.into(), value.into());
                }
                None => {
                    spawn.removed.insert(name.into());
                }
            }
        }
        spawn
    }
}

#[cfg(test)]
mod tests;
