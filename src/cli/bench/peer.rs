//! A peer: another program with an adapter, which answers the same protocol as every loader.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::init;
use crate::contract::reply::{Introduction, Reply};
use crate::contract::request::Request;
use crate::contract::{Code, Failure};
use crate::harness::client::{Bounds, Broken, Client, Outcome, Pipe, Spawn, find_program, greet};
use crate::harness::manifest::Manifest;
use crate::harness::scratch::Scratch;

/// The adapter of other loaders.
pub const LOADERS: (&str, &str) =
    ("timed_loaders.py", include_str!("../../../adapters/bench/timed_loaders.py"));

/// The adapter of transformers.
pub const TRANSFORMERS: (&str, &str) =
    ("timed_transformers.py", include_str!("../../../adapters/bench/timed_transformers.py"));

/// How adapters in Python are started.
#[derive(Clone, Copy, Debug)]
pub struct Python<'a> {
    /// The program.
    pub program: &'a Path,
    /// Where it looks for packages first.
    pub folder: Option<&'a Path>,
    /// Longest wait for an answer.
    pub patience: Duration,
}

/// An adapter's process, ended at the latest when this is dropped.
pub struct Peer {
    client: Pipe,
    /// Its reply to `hello`.
    pub hello: Introduction,
    bounds: Bounds,
    scratch: Scratch,
}

impl Peer {
    /// Starts an adapter with these arguments.
    ///
    /// # Errors
    /// Why it cannot be used. The text begins with `not installed` if a package is missing.
    pub fn start(
        (name, text): (&str, &str),
        arguments: &[&str],
        python: Python<'_>,
    ) -> Result<Peer, String> {
        let say = |error: &dyn std::fmt::Display| error.to_string();
        let scratch = Scratch::new_in(&std::env::temp_dir()).map_err(|error| say(&error))?;
        let kit = init::PYTHON.iter().filter(|(name, _)| name.starts_with("weighbridge_adapter/"));
        let folder = scratch.path().join("adapter");
        for (name, text) in kit.chain([&(name, text)]) {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&folder))
                .and_then(|()| std::fs::write(&path, text))
                .map_err(|error| say(&error))?;
        }
        let path = std::env::var_os("PATH");
        let program = find_program(python.program, Path::new("."), path.as_deref())
            .map_err(|error| say(&error))?;
        let mut spawn = Spawn::new(program, scratch.path());
        spawn.args = std::iter::once(folder.join(name).into_os_string())
            .chain(arguments.iter().map(OsString::from))
            .collect();
        let others = std::env::var_os("PYTHONPATH").unwrap_or_default();
        let all = python.folder.map(Path::to_owned).into_iter().chain([folder]);
        let all = all.chain(std::env::split_paths(&others).filter(|path| path.is_absolute()));
        let all = std::env::join_paths(all).map_err(|error| say(&error))?;
        spawn.set.insert("PYTHONPATH".into(), all);
        Peer::greeted(&spawn, scratch, python.patience)
    }

    /// Starts the loader of a manifest.
    ///
    /// # Errors
    /// As above.
    pub fn of_manifest(manifest: &Manifest, patience: Duration) -> Result<Peer, String> {
        let scratch = Scratch::new_in(&std::env::temp_dir()).map_err(|error| error.to_string())?;
        let spawn = manifest.spawn(scratch.path());
        Peer::greeted(&spawn, scratch, patience)
    }

    fn greeted(spawn: &Spawn, scratch: Scratch, patience: Duration) -> Result<Peer, String> {
        let mut client = Pipe::start(spawn).map_err(|broken| broken.to_string())?;
        let bounds = Bounds::within(patience);
        match greet(&mut client, scratch.path(), &bounds) {
            Ok(hello) => Ok(Peer { client, hello, bounds, scratch }),
            Err(broken) => Err(describe(&broken, &client)),
        }
    }

    /// Its process and all that it has started.
    pub fn family(&self) -> Vec<u32> {
        self.client.family()
    }

    /// Path of a file for large inputs and outputs.
    pub fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Sends a request. Returns the reply and the seconds of the round trip.
    ///
    /// # Errors
    /// The peer's refusal, or why there is no answer.
    pub fn ask(&mut self, request: Request) -> Result<(Reply, f64), String> {
        let exchange = self.client.ask(request, &self.bounds);
        let trip = exchange.elapsed().as_secs_f64();
        match exchange.outcome {
            Outcome::Reply(reply) => Ok((reply, trip)),
            Outcome::Failure(failure) => Err(failure.message),
            Outcome::Broken(broken) => Err(describe(&broken, &self.client)),
        }
    }
}

/// Describes a reply of the wrong kind. The client lets none through.
pub fn other(reply: &Reply) -> String {
    format!("answered with {}", reply.verb())
}

/// Seconds by a peer's own clock, which must lie within the round trip. The seconds of the round
/// trip, if the peer reports no time.
///
/// # Errors
/// A time that is 0, or longer than the round trip.
pub fn own_seconds(told_us: Option<u64>, trip: f64) -> Result<f64, String> {
    match told_us {
        None => Ok(trip),
        Some(told) if told > 0 && told as f64 / 1e6 <= trip => Ok(told as f64 / 1e6),
        Some(told) => Err(format!("says that it took {told} us; the round trip took {trip:.6} s")),
    }
}

/// Why there is no answer, with the last line of what was written to stderr.
fn describe(broken: &Broken, client: &Pipe) -> String {
    if let Broken::Refused { failure, .. } = broken {
        return match **failure {
            Failure { code: Code::UnsupportedCapability, ref message, .. } => {
                format!("not installed: {message}")
            }
            Failure { ref message, .. } => message.clone(),
        };
    }
    format!("{broken}{}", client.last_words())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Peer, String> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("python");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let patience = Duration::from_secs(2);
        let python = Python { program: &program, folder: None, patience };
        Peer::start(LOADERS, &["runai", "cpu"], python)
    }

    #[test]
    fn says_how_it_went_wrong() {
        for (script, words) in [
            ("echo oops >&2; exit 3", &["status 3", "stderr: oops"][..]),
            ("kill -9 $$", &["SIGKILL"]),
            ("read request; echo hello; cat", &["not a line of the protocol", "hello"]),
            ("sleep 60", &["no answer in time"]),
        ] {
            let why = shell(script).err().unwrap();
            assert!(words.iter().all(|word| why.contains(word)), "{script}: {why}");
        }
        let program = Path::new("/no/such");
        let python = Python { program, folder: None, patience: Duration::from_secs(2) };
        let why = Peer::start(LOADERS, &[], python).err().unwrap();
        assert!(why.contains("program not found"), "{why}");
    }

    #[test]
    fn a_clock_that_cannot_be_is_not_believed() {
        assert_eq!(own_seconds(None, 0.5), Ok(0.5));
        assert_eq!(own_seconds(Some(400_000), 0.5), Ok(0.4));
        for told in [0, 600_000, u64::MAX] {
            assert!(own_seconds(Some(told), 0.5).is_err(), "{told}");
        }
    }
}
