//! Starts a loader's process: program, arguments, and an environment of listed variables only.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Once;
use std::time::Duration;

use caps::{CapSet, Capability};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::harness::cell::{Cell, Level};

/// Variables that a loader inherits, besides those whose names begin with `CUDA_`.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LD_LIBRARY_PATH"];

/// Which GPUs CUDA shows a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Gpus {
    /// Those that this process sees.
    #[default]
    AsIs,
    /// None.
    Hidden,
    /// Those with these UUIDs, in this order.
    Only(Vec<String>),
}

/// A process to be started.
#[derive(Clone, Debug)]
pub struct Spawn {
    /// The program: a path, or a name that is searched in `dir` and on the loader's PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables to set. They replace inherited ones.
    pub set: BTreeMap<OsString, OsString>,
    /// Inherited variables to remove.
    pub removed: BTreeSet<OsString>,
    /// Working folder.
    pub dir: PathBuf,
    /// Which GPUs CUDA shows it. This takes precedence over `set`.
    pub gpus: Gpus,
    /// Whether the process loses root's right to read any file, so that file modes apply to it. For
    /// other users this changes nothing.
    pub mode_counts: bool,
    /// The loader's folder for temporary and large files; becomes its TMPDIR.
    pub scratch: PathBuf,
    /// File that its stderr goes to.
    pub log: PathBuf,
    /// File that every line of the conversation is appended to: requests with `> ` in front, lines
    /// of the loader with `< `.
    pub transcript: Option<PathBuf>,
    /// Time between asking the process to end and killing it.
    pub grace: Duration,
    /// How long what it has started may go on after it, before that is counted and ended.
    pub aftermath: Duration,
    /// The cell that it is started in; `None` to start it as it is.
    pub cell: Option<Cell>,
}

impl Spawn {
    /// A program without arguments, with its scratch folder as working folder and two seconds of
    /// grace.
    pub fn new(program: impl Into<PathBuf>, scratch: impl Into<PathBuf>) -> Self {
        let scratch = scratch.into();
        Spawn {
            program: program.into(),
            args: Vec::new(),
            set: BTreeMap::new(),
            removed: BTreeSet::new(),
            dir: scratch.clone(),
            gpus: Gpus::AsIs,
            mode_counts: false,
            log: scratch.join("stderr.log"),
            scratch,
            transcript: None,
            grace: Duration::from_secs(2),
            aftermath: Duration::ZERO,
            cell: None,
        }
    }

    /// The whole environment that the process gets, for the report.
    pub fn environment(&self) -> BTreeMap<OsString, OsString> {
        self.environment_from(std::env::vars_os())
    }

    fn environment_from(
        &self,
        ours: impl Iterator<Item = (OsString, OsString)>,
    ) -> BTreeMap<OsString, OsString> {
        let mut theirs: BTreeMap<_, _> = ours.filter(|(name, _)| is_inherited(name)).collect();
        theirs.insert("TMPDIR".into(), self.scratch.clone().into_os_string());
        theirs.retain(|name, _| !self.removed.contains(name));
        theirs.extend(self.set.clone());
        match &self.gpus {
            Gpus::AsIs => {}
            Gpus::Hidden => {
                theirs.insert("CUDA_VISIBLE_DEVICES".into(), OsString::new());
                // For a loader whose command starts a container: the container runtime would otherwise
                // mount GPUs, and the first variable may not reach the process inside.
                theirs.insert("NVIDIA_VISIBLE_DEVICES".into(), "void".into());
            }
            Gpus::Only(uuids) => {
                theirs.insert("CUDA_VISIBLE_DEVICES".into(), uuids.join(",").into());
            }
        }
        theirs
    }

    /// How strong its cell is.
    pub fn level(&self) -> Level {
        self.cell.as_ref().map_or(Level::None, |cell| cell.order.level)
    }

    /// The command, without its pipes.
    ///
    /// # Errors
    /// If the program cannot be found.
    pub fn command(&self) -> io::Result<Command> {
        forbid_core_dumps();
        let environment = self.environment();
        let path = environment.get(OsStr::new("PATH"));
        // With an absolute path the standard library can use posix_spawn. The cost of fork would
        // grow with the judge's memory.
        let program = find_program(&self.program, &self.dir, path.map(OsString::as_os_str))?;
        let mut command = match &self.cell {
            None => {
                let mut command = Command::new(program);
                command.args(&self.args);
                command
            }
            Some(cell) => {
                let mut command = Command::new(&cell.exe);
                let mut cell = cell.clone();
                cell.order.aftermath_ms = self.aftermath.as_millis() as u64;
                command.args(cell.arguments(program, &self.args)?);
                command
            }
        };
        command.current_dir(&self.dir).env_clear().envs(environment);
        Ok(command)
    }
}

/// Starts a command. If `mode_counts`, the process gets no capability to ignore file modes.
///
/// Linux capabilities belong to a thread, and a child inherits them. A new thread drops them and
/// starts the process, so the judge's other threads keep theirs.
///
/// # Errors
/// If the process cannot be started, or the capabilities cannot be dropped.
pub(super) fn start(mut command: Command, mode_counts: bool) -> io::Result<Child> {
    if !mode_counts {
        return command.spawn();
    }
    std::thread::spawn(move || {
        for power in [Capability::CAP_DAC_OVERRIDE, Capability::CAP_DAC_READ_SEARCH] {
            let held = caps::has_cap(None, CapSet::Effective, power).map_err(io::Error::other)?;
            if held {
                caps::drop(None, CapSet::Bounding, power).map_err(io::Error::other)?;
            }
        }
        command.spawn()
    })
    .join()
    .unwrap_or_else(|_| Err(io::Error::other("the thread that starts the process panicked")))
}

/// Finds a program. An absolute path is used as it is; a relative path with a slash starts at
/// `dir`; a name without a slash is searched in `dir` first, then in the folders of `path`.
///
/// # Errors
/// If there is no such file, or it is not executable.
pub fn find_program(program: &Path, dir: &Path, path: Option<&OsStr>) -> io::Result<PathBuf> {
    let bare = program.components().count() == 1 && !program.as_os_str().is_empty();
    let beside = std::path::absolute(dir.join(program))?;
    let mut candidates = vec![beside];
    if bare && !program.is_absolute() {
        let folders = path.map(std::env::split_paths).into_iter().flatten();
        candidates.extend(folders.map(|folder| folder.join(program)));
    }
    if let Some(found) = candidates.iter().find(|candidate| is_executable(candidate)) {
        return Ok(found.clone());
    }
    let (kind, why) = match candidates.iter().find(|candidate| candidate.exists()) {
        Some(file) => {
            (io::ErrorKind::PermissionDenied, format!("not an executable file: {}", file.display()))
        }
        None => (io::ErrorKind::NotFound, format!("program not found: {}", program.display())),
    };
    Err(io::Error::new(kind, why))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn is_inherited(name: &OsStr) -> bool {
    INHERITED.iter().any(|inherited| name == *inherited)
        || name.as_encoded_bytes().starts_with(b"CUDA_")
}

/// Sets this process's core size limit to 0; every loader inherits it. Cases crash loaders on
/// purpose, and the core file of a process that maps a GPU has tens of gigabytes. Setting the limit
/// in the child would need a hook between fork and exec, which excludes posix_spawn.
fn forbid_core_dumps() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_CORE) {
            // Lowering a soft limit is always allowed.
            let _ = setrlimit(Resource::RLIMIT_CORE, 0, hard);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> impl Iterator<Item = (OsString, OsString)> {
        [
            ("PATH", "/bin"),
            ("HOME", "/root"),
            ("TMPDIR", "/tmp"),
            ("CUDA_VISIBLE_DEVICES", "1"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("RUST_BACKTRACE", "1"),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
    }

    fn listed(spawn: &Spawn) -> Vec<String> {
        let environment = spawn.environment_from(ours());
        environment
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect()
    }

    #[test]
    fn the_environment_is_listed_not_inherited() {
        let spawn = Spawn::new("true", "/s");
        let expected = ["CUDA_VISIBLE_DEVICES=1", "HOME=/root", "PATH=/bin", "TMPDIR=/s"];
        assert_eq!(listed(&spawn), expected);
    }

    #[test]
    fn set_wins_over_removed_and_hiding_over_both() {
        let mut spawn = Spawn::new("true", "/s");
        spawn.removed.insert("HOME".into());
        spawn.set.insert("CUDA_VISIBLE_DEVICES".into(), "0,1".into());
        spawn.set.insert("KEY".into(), "value".into());
        spawn.gpus = Gpus::Only(vec!["GPU-b".to_owned(), "GPU-a".to_owned()]);
        assert!(listed(&spawn).contains(&"CUDA_VISIBLE_DEVICES=GPU-b,GPU-a".to_owned()));
        spawn.gpus = Gpus::Hidden;
        let expected = [
            "CUDA_VISIBLE_DEVICES=",
            "KEY=value",
            "NVIDIA_VISIBLE_DEVICES=void",
            "PATH=/bin",
            "TMPDIR=/s",
        ];
        assert_eq!(listed(&spawn), expected);
    }

    #[test]
    fn programs_are_found_beside_then_on_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sh");
        std::fs::write(&file, "").unwrap();
        let path = Some(OsStr::new("/usr/bin:/bin"));
        let found = find_program(Path::new("sh"), folder.path(), path).unwrap();
        assert!(found.starts_with("/usr/bin") || found.starts_with("/bin"), "{found:?}");

        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(find_program(Path::new("sh"), folder.path(), path).unwrap(), file);
        assert_eq!(find_program(Path::new("./sh"), folder.path(), None).unwrap(), file);

        let missing = find_program(Path::new("no-such-program"), folder.path(), path);
        assert_eq!(missing.unwrap_err().to_string(), "program not found: no-such-program");
        let directory = find_program(folder.path(), Path::new("/"), None).unwrap_err();
        assert_eq!(directory.kind(), io::ErrorKind::PermissionDenied);
    }
}
