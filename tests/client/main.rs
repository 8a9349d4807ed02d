//! The judge's side of the conversation, tested against loaders that misbehave.
//!
//! Run as `client fake MODE` this program is such a loader (see [`fake`]); otherwise it runs the
//! tests, each of which starts itself as one. Only the loaders that never answer cost their whole
//! deadline; every other deadline is far beyond what a loaded machine needs.

mod attacks;
mod conduct;
mod ends;
mod fake;
mod full_disk;
mod greetings;
mod honest;
mod hostile;
mod judged;
mod loads;
mod strikes;
mod twice;
mod weighed;

use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use weighbridge::Loader;
use weighbridge::cli::child;
use weighbridge::contract::Device;
use weighbridge::contract::request::{Load, Request};
use weighbridge::harness::client::{Bounds, Client, Outcome, Pipe, Spawn, greet};
use weighbridge::loader::ReferenceLoader;

/// Never reached by a loader that does anything.
const LONG: Duration = Duration::from_secs(60);

/// The deadline of loaders that do nothing.
const SHORT: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, word, mode, rest @ ..] = words.as_slice()
        && word == "fake"
    {
        let loader: Box<dyn Loader> = match rest {
            [real] if real == "real" => Box::new(ReferenceLoader::new()),
            _ => Box::new(honest::Honest::default()),
        };
        return match fake::play(mode, loader) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("fake {mode}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if let [_, word, mib] = words.as_slice()
        && word == "hog"
    {
        conduct::hog(mib.parse().unwrap_or(0));
        return ExitCode::SUCCESS;
    }
    if let [_, word, ..] = words.as_slice()
        && word == "print"
    {
        return attacks::print_without_end().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    if let Some(code) = child::as_child() {
        return code;
    }
    let trials = [
        loads::trials(),
        greetings::trials(),
        ends::trials(),
        twice::trials(),
        weighed::trials(),
        hostile::trials(),
        strikes::trials(),
        conduct::trials(),
        judged::trials(),
        full_disk::trials(),
    ];
    let mut arguments = Arguments::from_args();
    // They wait for loaders that hang or dawdle, and hardly compute.
    arguments.test_threads.get_or_insert(6);
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

/// A test.
fn trial(name: impl Into<String>, test: fn() -> Result<(), Failed>) -> Trial {
    Trial::test(name, test)
}

/// A fake, not greeted yet, and its scratch folder.
struct Fake {
    client: Box<Pipe>,
    scratch: tempfile::TempDir,
}

impl Fake {
    fn start(mode: &str) -> Result<Fake, Failed> {
        Fake::start_with(mode, |_| {})
    }

    fn start_with(mode: &str, change: impl FnOnce(&mut Spawn)) -> Result<Fake, Failed> {
        let scratch = tempfile::tempdir()?;
        let mut spawn = Spawn::new(std::env::current_exe()?, scratch.path());
        spawn.args = vec!["fake".into(), mode.into()];
        spawn.grace = Duration::from_millis(200);
        change(&mut spawn);
        Ok(Fake { client: Box::new(Pipe::start(&spawn)?), scratch })
    }

    fn greeted(mode: &str) -> Result<Fake, Failed> {
        let mut fake = Fake::start(mode)?;
        fake.greet()?;
        Ok(fake)
    }

    fn greet(&mut self) -> Result<(), Failed> {
        greet(self.client.as_mut(), self.scratch.path(), &Bounds::within(LONG))?;
        Ok(())
    }

    fn load(&mut self, bounds: &Bounds) -> Outcome {
        self.client.ask(load("model"), bounds).outcome
    }
}

/// A request to load.
fn load(path: &str) -> Request {
    Request::Load(Load::plain(path, Device::Cpu))
}

/// Whether a process is there and not a zombie.
fn lives(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("\nState:\tZ") && !status.contains("\nState:\tX")
}

/// Fails with both values where they differ.
fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Result<(), Failed> {
    if found == expected {
        return Ok(());
    }
    Err(format!("found    {found:?}\nexpected {expected:?}").into())
}
