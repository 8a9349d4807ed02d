//! Processes that do not answer, or not in the protocol. The reference loader in all but `load`.

use std::io::{self, Write};
use std::time::Duration;

use crate::contract::reply::{Done, Holdings, Introduction, Loaded};
use crate::contract::request::{Hello, Load, Stat, Unload};
use crate::contract::{Failure, Loader};
use crate::loader::ReferenceLoader;

/// What happens instead of a load, or before it.
type Instead = fn();

struct Misbehaving {
    honest: ReferenceLoader,
    instead: Instead,
}

/// The reference loader with this before every load.
pub fn misbehaving(instead: Instead) -> Box<dyn Loader + Send> {
    Box::new(Misbehaving { honest: ReferenceLoader::new(), instead })
}

/// Nothing: the loader behind forwards `hello`, `load`, `stat` and `unload` alone, and declares all.
pub fn nothing() {}

/// Waits for ever.
pub fn hang() {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Dies as if by SIGBUS.
pub fn crash() {
    std::process::abort();
}

/// Writes without end.
pub fn flood() {
    let line = [b'.'; 1 << 16];
    // Ends when the judge hangs up.
    while io::stdout().write_all(&line).is_ok() {}
}

/// Says something that is no JSON.
pub fn garbage() {
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
