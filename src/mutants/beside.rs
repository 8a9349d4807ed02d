//! Mutants of which two processes get in each other's way: they share the memory of weights, or a lock.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{io, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::between::{Answer, Between, between, handle};
use super::mutant::Mutant;
use crate::contract::reply::Reply;
use crate::contract::request::{Load, Request, Unload};
use crate::contract::{Device, Loader};
use crate::loader::ReferenceLoader;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "segment-by-number",
        lie: "keeps the weights of its first model under a name that the first model of every process has",
        seen_in: "programs that name shared memory by the rank or the slot",
        needs_gpu: false,
        make: || between(Segments::default()),
    },
    Mutant {
        name: "machine-locked-in-load",
        lie: "takes a lock of the machine for each load, and answers nothing about a model while another process has it",
        seen_in: "programs that guard the device with a lock file",
        needs_gpu: false,
        make: || between(Locked::default()),
    },
    Mutant {
        name: "machine-locked-and-woken",
        lie: "the same, and wakes the process that has the lock where somebody has stopped it",
        seen_in: "no product yet: a loader that knows how it is tried",
        needs_gpu: false,
        make: || between(Locked { wakes: Wakes::ForGood, ..Locked::default() }),
    },
    Mutant {
        name: "machine-locked-woken-briefly",
        lie: "the same, and stops that process again when its load is done",
        seen_in: "no product yet: a loader that knows how it is tried",
        needs_gpu: false,
        make: || between(Locked { wakes: Wakes::ForItsLoad, ..Locked::default() }),
    },
];

/// The folder in which all processes of a run have their own. It stands for `/dev/shm` and `/run`, where a mutant that
/// is killed would leave something behind.
fn of_the_machine(request: &Request) -> Option<PathBuf> {
    let Request::Hello(hello) = request else { return None };
    hello.scratch.parent().map(Path::to_owned)
}

/// Keeps the weights of models in host memory in segments that are named by the model's number.
#[derive(Default)]
struct Segments {
    folder: PathBuf,
    /// The number of each model, and how it was loaded, by handle.
    models: BTreeMap<u64, (usize, Load)>,
}

impl Segments {
    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("segment-{number}"))
    }

    /// Puts the weights of a model into the segment with the first number that this process does not use.
    fn put(&mut self, handle: u64, load: Load) {
        // What is spread over several files stays honest.
        let of_one_file = load.path.extension().is_none_or(|ending| ending != "json");
        if load.device != Device::Cpu || !load.format.is_usual() || !of_one_file {
            return;
        }
        let is_free = |number: &usize| self.models.values().all(|(used, _)| used != number);
        let Some(number) = (0..).find(is_free) else { return };
        // If there can be no segment, no lie is told: the mutant survives, and the audit fails.
        let written = fs::read(&load.path).and_then(|bytes| fs::write(self.path(number), bytes));
        if written.is_ok() {
            self.models.insert(handle, (number, load));
        }
    }

    /// A load of what the segment of a model holds now.
    fn there(&self, handle: u64) -> Option<Load> {
        let (number, load) = self.models.get(&handle)?;
        let path = Some(self.path(*number)).filter(|path| path.exists())?;
        Some(Load { path, expect_sha256: None, seal: None, admit: false, ..load.clone() })
    }
}

impl Between for Segments {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Some(folder) = of_the_machine(&request) {
            self.folder = folder;
        }
        match &request {
            Request::Load(load) => {
                let load = load.clone();
                let reply = loader.answer(request)?;
                if let Reply::Load(loaded) = &reply {
                    self.put(loaded.handle, load);
                }
                return Ok(reply);
            }
            Request::Unload(Unload { handle }) => {
                if let Some((number, _)) = self.models.remove(handle) {
                    let _gone = fs::remove_file(self.path(number));
                }
                return loader.answer(request);
            }
            _ => {}
        }
        let Some((own, there)) = handle(&mut request).and_then(|own| {
            let there = self.there(*own)?;
            Some((own, there))
        }) else {
            return loader.answer(request);
        };
        let there = loader.load(there)?.handle;
        *own = there;
        let answer = loader.answer(request);
        loader.unload(Unload { handle: there })?;
        answer
    }
}

/// What is done to a process that has the lock.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Wakes {
    /// Nothing.
    #[default]
    Not,
    /// It is told to go on.
    ForGood,
    /// It is told to go on, and stopped again when it no longer has the lock.
    ForItsLoad,
}

/// Holds a lock of the machine while it loads, and while it answers about a model.
#[derive(Default)]
struct Locked {
    folder: PathBuf,
    wakes: Wakes,
}

impl Locked {
    /// Waits for the lock. While another process has it, that one may be told to go on.
    fn wait(&self, lock: &File) -> io::Result<()> {
        if self.wakes == Wakes::Not {
            return lock.lock();
        }
        let holder = self.folder.join("holder");
        let mut woken = None;
        // One that is gone has no lock.
        let send = |pid, signal| kill(Pid::from_raw(pid), signal).unwrap_or_default();
        while lock.try_lock().is_err() {
            woken = fs::read_to_string(&holder).ok().and_then(|pid| pid.parse().ok());
            woken.into_iter().for_each(|pid| send(pid, Signal::SIGCONT));
            thread::sleep(Duration::from_millis(1));
        }
        if let Some(pid) = woken.filter(|_| self.wakes == Wakes::ForItsLoad) {
            send(pid, Signal::SIGSTOP);
        }
        fs::write(&holder, std::process::id().to_string())
    }
}

impl Between for Locked {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        if let Some(folder) = of_the_machine(&request) {
            self.folder = folder;
        }
        let locks = matches!(request, Request::Load(_)) || handle(&mut request).is_some();
        // Without a lock, no lie is told.
        let lock = locks.then(|| File::create(self.folder.join("lock"))).and_then(Result::ok);
        let _held = lock.as_ref().map(|lock| self.wait(lock));
        loader.answer(request)
    }
}
