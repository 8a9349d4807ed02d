//! Processes that do not answer, not in time, or not in the protocol, or that take what is not theirs.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::between::{Answer, Between, between};
use super::mutant::{Mutant, reference};
use crate::contract::reply::{Done, Holdings, Introduction, Loaded};
use crate::contract::request::{Hello, Load, Request, Stat, Unload};
use crate::contract::{Failure, Loader};
use crate::loader::error::LoadError;
use crate::loader::read::file::OpenFile;
use crate::loader::{LoadDecisions, ReferenceLoader};

/// These mutants.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "hang",
        lie: "never answers a load",
        seen_in: "servers that wait for a lost worker",
        needs_gpu: false,
        make: || misbehaving(hang),
    },
    Mutant {
        name: "crash",
        lie: "dies in the middle of a load",
        seen_in: "loaders that map a file which then shrinks",
        needs_gpu: false,
        make: || misbehaving(crash),
    },
    Mutant {
        name: "flood",
        lie: "writes to stdout without end instead of answering",
        seen_in: "a progress bar on the wrong stream",
        needs_gpu: false,
        make: || misbehaving(flood),
    },
    Mutant {
        name: "garbage",
        lie: "answers a load with a line that is no JSON",
        seen_in: "libraries that print banners",
        needs_gpu: false,
        make: || misbehaving(garbage),
    },
    Mutant {
        name: "declared-only",
        lie: "declares every capability and serves only loading",
        seen_in: "adapters that copy another's list of features",
        needs_gpu: false,
        make: || misbehaving(nothing),
    },
    Mutant {
        name: "slow-to-begin",
        lie: "waits two seconds before each load, and one before each generation",
        seen_in: "programs that compile their kernels anew at every request",
        needs_gpu: true,
        make: || between(SlowToBegin),
    },
    Mutant {
        name: "files-kept",
        lie: "reads each file whole into memory and keeps it there",
        seen_in: "loaders that read where they could copy piece by piece",
        needs_gpu: false,
        make: || reference(Kept::default()),
    },
];

/// Waits, then is honest.
struct SlowToBegin;

impl Between for SlowToBegin {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        match request {
            Request::Load(_) => std::thread::sleep(Duration::from_secs(2)),
            Request::Generate(_) => std::thread::sleep(Duration::from_secs(1)),
            _ => {}
        }
        loader.answer(request)
    }
}

/// Files that were read, for ever.
#[derive(Default)]
struct Kept(Mutex<Vec<Vec<u8>>>);

impl LoadDecisions for Kept {
    fn source(&self, opened: OpenFile) -> Result<OpenFile, LoadError> {
        // A file that cannot be read twice is kept in no copy: the load itself tells.
        let bytes = std::fs::read(opened.path()).unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        Ok(opened)
    }
}

/// What happens instead of a load, or before it.
type Instead = fn();

struct Misbehaving {
    honest: ReferenceLoader,
    instead: Instead,
}

/// The reference loader with this before every load.
fn misbehaving(instead: Instead) -> Box<dyn Loader + Send> {
    Box::new(Misbehaving { honest: ReferenceLoader::new(), instead })
}

/// Nothing: the loader behind forwards `hello`, `load`, `stat` and `unload` alone, and declares all.
fn nothing() {}

/// Waits for ever.
fn hang() {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Dies as if by SIGBUS.
fn crash() {
    std::process::abort();
}

/// Writes without end.
fn flood() {
    let line = [b'.'; 1 << 16];
    // Ends when the judge hangs up.
    while io::stdout().write_all(&line).is_ok() {}
}

/// Says something that is no JSON.
fn garbage() {
    // Where it cannot be said, the lie is not told and the mutant survives, which shows.
    let _ = writeln!(io::stdout(), "Loading weights: done");
}

impl Loader for Misbehaving {
    fn load(&mut self, request: Load) -> Result<Loaded, Failure> {
        (self.instead)();
        self.honest.load(request)
    }

    fn hello(&mut self, request: Hello) -> Result<Introduction, Failure> {
        self.honest.hello(request)
    }

    fn stat(&mut self, request: Stat) -> Result<Holdings, Failure> {
        self.honest.stat(request)
    }

    fn unload(&mut self, request: Unload) -> Result<Done, Failure> {
        self.honest.unload(request)
    }
}
