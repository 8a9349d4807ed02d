//! The libtest front end, as a crate with a loader of its own has it. Under a name of `PROGRAMS` this program is
//! such a crate's test; otherwise it runs the tests, which start it under those names.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Failed, Trial};
use weighbridge::cli::trials;
use weighbridge::contract::reply::{Done, Holdings, Introduction, Loaded, Reply};
use weighbridge::contract::request::{Hello, Load, Request, Stat, Unload};
use weighbridge::contract::{Capability, DType, Failure, Loader};
use weighbridge::loader::ReferenceLoader;

/// A case that every loader of safetensors must pass.
const CASE: &str = "F-PARSE-037::readme_tensors";
/// One that needs metadata. Of the requirement above, one case does.
const METADATA: &str = "F-PARSE-045::plain_metadata";

/// A program by its name.
type Program = (&'static str, fn() -> ExitCode);
/// A test by its name.
type Test = (&'static str, fn() -> Result<(), Failed>);

/// The programs.
const PROGRAMS: [Program; 3] = [
    ("honest", || weighbridge::conformance("own", "host", ReferenceLoader::new)),
    ("lying", || weighbridge::conformance("own", "host", || Own { lies: true, ..Own::new() })),
    ("lacking", || weighbridge::conformance("own", "host", || Own { lacks: true, ..Own::new() })),
];

/// The reference but for one thing.
struct Own {
    inner: ReferenceLoader,
    /// Says that each tensor is F16.
    lies: bool,
    /// Declares that it keeps no metadata.
    lacks: bool,
}

impl Own {
    fn new() -> Own {
        Own { inner: ReferenceLoader::new(), lies: false, lacks: false }
    }
}

impl Loader for Own {
    fn hello(&mut self, request: Hello) -> Result<Introduction, Failure> {
        let mut hello = self.inner.hello(request)?;
        if self.lacks
            && let Some(support) = hello.capabilities.get_mut(&Capability::Metadata)
        {
            (support.supported, support.reason) = (false, Some("metadata is not kept".to_owned()));
        }
        Ok(hello)
    }

    fn load(&mut self, request: Load) -> Result<Loaded, Failure> {
        let mut loaded = self.inner.load(request)?;
        if self.lies {
            loaded.tensors.iter_mut().for_each(|tensor| tensor.dtype = DType::F16);
        }
        Ok(loaded)
    }

    fn stat(&mut self, request: Stat) -> Result<Holdings, Failure> {
        self.inner.stat(request)
    }

    fn unload(&mut self, request: Unload) -> Result<Done, Failure> {
        self.inner.unload(request)
    }

    fn answer(&mut self, request: Request) -> Result<Reply, Failure> {
        match request {
            Request::Hello(request) => Ok(Reply::Hello(self.hello(request)?)),
            Request::Load(request) => Ok(Reply::Load(self.load(request)?)),
            other => self.inner.answer(other),
        }
    }
}

fn main() -> ExitCode {
    let own = std::env::current_exe().unwrap_or_default();
    let name = own.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name == "strict" {
        return trials::strict();
    }
    if let Some((_, program)) = PROGRAMS.iter().find(|(one, _)| *one == name) {
        return program();
    }
    let tests: [Test; 6] = [
        ("a_right_loader_passes", right),
        ("a_lie_fails_its_trial", lie),
        ("what_is_lacking_is_shown_as_ignored", lacking),
        ("a_filter_that_matches_nothing_passes_nothing", nothing),
        ("a_list_starts_no_loader_and_has_every_case", listed),
        ("without_a_gpu_the_strict_runner_passes_nothing", strict),
    ];
    let all = tests.into_iter().map(|(name, test)| Trial::test(name, test)).collect();
    libtest_mimic::run(&Arguments::from_args(), all).exit_code()
}

/// A folder in which this program has another name.
struct Place(tempfile::TempDir);

impl Place {
    fn named(name: &str) -> Result<(Place, PathBuf), Failed> {
        let own = std::env::current_exe()?;
        // Beside it: a link cannot lead to another file system, and every user can read what is there.
        let place = tempfile::tempdir_in(own.parent().unwrap_or(Path::new(".")))?;
        // Also by the user that a loader gets where there are no namespaces.
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755))?;
        let other = place.path().join(name);
        std::fs::hard_link(&own, &other)?;
        Ok((Place(place), other))
    }
}

/// Runs a program of these with some words.
fn ran(name: &str, words: &[&str]) -> Result<(Option<i32>, String), Failed> {
    let (place, program) = Place::named(name)?;
    let Output { status, stdout, stderr } = Command::new(program).args(words).output()?;
    drop(place.0);
    let text = [stdout, stderr].concat();
    Ok((status.code(), String::from_utf8_lossy(&text).into_owned()))
}

/// Wants an exit code and texts.
fn wants(ran: (Option<i32>, String), code: i32, texts: &[&str]) -> Result<(), Failed> {
    let (found, told) = ran;
    match (found == Some(code), texts.iter().find(|text| !told.contains(**text))) {
        (true, None) => Ok(()),
        (_, missing) => {
            Err(format!("expected {code} and {missing:?}, found {found:?}: {told}").into())
        }
    }
}

fn right() -> Result<(), Failed> {
    wants(ran("honest", &["--exact", CASE])?, 0, &["1 passed", "0 failed", "0 ignored"])
}

fn lie() -> Result<(), Failed> {
    let texts = [CASE, "table of ", "F16", "1 failed"];
    wants(ran("lying", &["--exact", CASE])?, 101, &texts)
}

/// What a loader says it cannot do is no failure, and alone it is no success.
fn lacking() -> Result<(), Failed> {
    wants(ran("lacking", &["F-PARSE-037::"])?, 0, &["metadata is not kept", "0 failed"])?;
    wants(ran("lacking", &["--exact", METADATA])?, 4, &["metadata is not kept", "nothing selected"])
}

fn nothing() -> Result<(), Failed> {
    wants(ran("honest", &["--exact", "F-PARSE-037::no_such"])?, 4, &["nothing selected"])
}

/// A lying loader changes nothing: none is started.
fn listed() -> Result<(), Failed> {
    let (code, told) = ran("lying", &["--list"])?;
    let listed: Vec<&str> = told.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let embedded = weighbridge::cli::weighing::Embedded::read().map_err(|stop| stop.message)?;
    let profile = embedded.profile("host").map_err(|stop| stop.message)?;
    for id in &profile.requirements {
        if !listed.iter().any(|one| one.starts_with(&format!("{id}::"))) {
            return Err(format!("no trial of {id}").into());
        }
    }
    let outside = |one: &&&str| !profile.requirements.iter().any(|id| one.starts_with(id.as_str()));
    match (code, listed.iter().find(outside)) {
        (Some(0), None) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

fn strict() -> Result<(), Failed> {
    let ran = ran("strict", &["--exact", CASE])?;
    match Path::new("/dev/nvidia0").exists() {
        true => wants(ran, 0, &["1 passed"]),
        false => {
            wants(ran, 5, &["this suite is strict: without a GPU no case runs, and none passes"])
        }
    }
}
