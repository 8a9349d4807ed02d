//! Mutants whose process hangs, crashes, breaks the protocol, is slow, or takes too much memory.

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

/// The mutants of this module.
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
        lie: "aborts during a load",
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
        lie: "writes a line that is not JSON before it answers a load",
        seen_in: "libraries that print banners to stdout",
        needs_gpu: false,
        make: || misbehaving(garbage),
    },
    Mutant {
        name: "declared-only",
        lie: "declares every capability, but serves only loading",
        seen_in: "adapters that copy another adapter's capability list",
        needs_gpu: false,
        make: || misbehaving(nothing),
    },
    Mutant {
        name: "slow-to-begin",
        lie: "sleeps two seconds before each load and one before each generation",
        seen_in: "programs that compile kernels again for every request",
        needs_gpu: true,
        make: || between(SlowToBegin),
    },
    Mutant {
        name: "slow-tokens",
        lie: "sleeps twelve milliseconds for each token that it generates",
        seen_in: "decoders that pass every token through the host",
        needs_gpu: true,
        make: || between(SlowTokens),
    },
    Mutant {
        name: "files-kept",
        lie: "reads each file whole into memory and never frees it",
        seen_in: "loaders that read a whole file instead of copying in pieces",
        needs_gpu: false,
        make: || reference(Kept::default()),
    },
];

/// Sleeps before it answers honestly.
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

/// Sleeps for each token before it answers honestly.
struct SlowTokens;

impl Between for SlowTokens {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        if let Request::Generate(asked) = &request {
            std::thread::sleep(Duration::from_millis(12) * asked.limit);
        }
        loader.answer(request)
    }
}

/// Keeps the content of every file in memory.
#[derive(Default)]
struct Kept(Mutex<Vec<Vec<u8>>>);

impl LoadDecisions for Kept {
    fn source(&self, opened: OpenFile) -> Result<OpenFile, LoadError> {
        // If this read fails, an empty copy is kept, and the load itself reports the error.
        let bytes = std::fs::read(opened.path()).unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        Ok(opened)
    }
}

/// What runs before each load.
type Instead = fn();

struct Misbehaving {
    honest: ReferenceLoader,
    instead: Instead,
}

/// Creates the reference loader that runs `instead` before every load.
fn misbehaving(instead: Instead) -> Box<dyn Loader + Send> {
    Box::new(Misbehaving { honest: ReferenceLoader::new(), instead })
}

/// Does nothing. [`Misbehaving`] forwards only `hello`, `load`, `stat` and `unload`, but its
/// `hello` declares every capability.
fn nothing() {}

/// Sleeps forever.
fn hang() {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Aborts the process with SIGABRT.
fn crash() {
    std::process::abort();
}

/// Writes to stdout without end.
fn flood() {
    let line = [b'.'; 1 << 16];
    // Ends when the judge hangs up.
    while io::stdout().write_all(&line).is_ok() {}
}

/// Writes a line that is not JSON.
fn garbage() {
    // If the write fails, no lie is told: the mutant survives, and the audit fails.
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
