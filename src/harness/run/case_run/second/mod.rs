//! A second process of the loader: its conversation, what it holds, and a load that is stopped in the middle.

mod still;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use self::still::Still;
use super::case_end::CaseEnd;
use super::held::Model;
use crate::contract::Device;
use crate::contract::reply::Introduction;
use crate::contract::request::{Load, Request};
use crate::harness::client::{Bounds, Broken, Client, Clock, Exchange, Outcome};
use crate::harness::evidence::change::Ambush;
use crate::harness::family;

/// How often is looked whether a load was answered, or the process stopped.
const LOOK: Duration = Duration::from_millis(1);

/// How long an answer takes at most that was on its way when the process was stopped.
const ON_ITS_WAY: Duration = Duration::from_millis(20);

/// A load that is stopped has so many times the usual patience. Whoever waits for its answer gives up before.
const STOPPED: u32 = 32;

/// How long a killed process may take to end.
const ENDING: Duration = Duration::from_secs(10);

/// A load is stopped after none, one, two or three of so many parts of the time that the last one took.
const PARTS: u32 = 4;

/// What came of a request, and the conversation that it came from.
pub type Arrived = (Box<dyn Client>, Exchange);

/// A second process of the loader.
pub struct Second {
    /// Its conversation; `None` while a load is under way.
    pub client: Option<Box<dyn Client>>,
    /// What it said.
    pub introduction: Introduction,
    /// Its own folder.
    pub scratch: PathBuf,
    /// What it says it holds.
    pub loaded: BTreeMap<String, Model>,
    /// A load that it has not answered yet.
    pub under_way: Option<UnderWay>,
    /// How many loads it was asked for; several attempts at one count once.
    pub loads: u32,
    /// How long the last one took.
    pub took: Duration,
}

/// A load that was asked for.
pub struct UnderWay {
    /// The file, by its name in the case, and where it goes.
    pub of: (String, Device),
    answer: Receiver<Arrived>,
    still: Arc<Mutex<Option<Still>>>,
    /// Its process id and start time.
    process: (u32, u64),
    patience: Duration,
    began: Instant,
    watch: Option<Ambush>,
}

impl Second {
    /// A process that has said hello and nothing more.
    pub fn new(client: Box<dyn Client>, introduction: Introduction, scratch: PathBuf) -> Self {
        Second {
            client: Some(client),
            introduction,
            scratch,
            loaded: BTreeMap::new(),
            under_way: None,
            loads: 0,
            took: Duration::ZERO,
        }
    }

    /// How long a load goes on before it is stopped. A later attempt at the same load stops it sooner.
    pub fn runs_for(&self, attempt: u32) -> Duration {
        self.took * (self.loads.saturating_sub(1) % PARTS) / PARTS / (1 << attempt.min(16))
    }
}

impl UnderWay {
    /// Asks for a load. Some time after the file was opened, the process is stopped.
    ///
    /// # Errors
    /// If the file cannot be watched.
    pub fn begin(
        mut client: Box<dyn Client>,
        scratch: &Path,
        (load, of): (&Load, &str),
        (patience, memory_bytes): (Duration, Option<u64>),
        runs_for: Duration,
    ) -> io::Result<UnderWay> {
        let process = client.pid().and_then(|pid| Some((pid, family::start_time(pid)?)));
        let process = process.ok_or_else(|| io::Error::other("it has no process id"))?;
        let still = Arc::new(Mutex::new(None));
        let watch = Ambush::at_open(&load.path, {
            let (still, scratch) = (Arc::clone(&still), scratch.to_owned());
            move || {
                thread::sleep(runs_for);
                let stopped = Still::of(process, &scratch);
                *still.lock().unwrap_or_else(PoisonError::into_inner) = Some(stopped);
                Ok(())
            }
        })?;
        let bounds = Bounds { memory_bytes, ..Bounds::within(patience * STOPPED) };
        let (tell, answer) = mpsc::channel();
        let (request, began) = (Request::Load(load.clone()), Instant::now());
        thread::spawn(move || {
            let exchange = client.ask(request, &bounds);
            // Where nobody waits any more, the process ends with its client.
            let _ = tell.send((client, exchange));
        });
        let (of, watch) = ((of.to_owned(), load.device), Some(watch));
        Ok(UnderWay { of, answer, still, process, patience, began, watch })
    }

    /// Waits until the process stands still, and returns the answer if that came before.
    ///
    /// # Errors
    /// If the file could not be watched, or nobody waits for the answer.
    pub fn stopped_or_answered(&mut self) -> Result<Option<Arrived>, CaseEnd> {
        let stands = || self.still.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let arrived = loop {
            match self.answer.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) if stands() => {
                    break Ok(self.answer.recv_timeout(ON_ITS_WAY).ok());
                }
                Err(RecvTimeoutError::Timeout) if self.began.elapsed() < self.patience => {}
                Err(_) => break self.late().map(Some),
                Ok(arrived) => break Ok(Some(arrived)),
            }
        };
        // From here on nothing stops the process any more, and nobody watches.
        let watched = self.watch.take().map(Ambush::end).transpose();
        watched.map_err(|error| CaseEnd::Fault(format!("watching a file: {error}")))?;
        let arrived = arrived?;
        if arrived.is_some() {
            self.go_on();
        }
        Ok(arrived)
    }

    /// What somebody did to the process, if it was stopped and does not stand as it did.
    pub fn moved(&self) -> Option<String> {
        let still = self.still.lock().unwrap_or_else(PoisonError::into_inner);
        still.as_ref().and_then(Still::moved)
    }

    /// Lets the process go on. Returns how long it stood still.
    pub fn go_on(&self) -> Duration {
        let still = self.still.lock().unwrap_or_else(PoisonError::into_inner).take();
        still.map_or(Duration::ZERO, |still| still.elapsed())
    }

    /// The answer of a process that goes on. One that comes too late is none, and the process ends.
    ///
    /// # Errors
    /// If nobody waits for it.
    pub fn answer(&self) -> Result<Arrived, CaseEnd> {
        self.answer.recv_timeout(self.patience).or_else(|_| self.late())
    }

    /// Ends a process that has not answered in time.
    fn late(&self) -> Result<Arrived, CaseEnd> {
        self.kill();
        let after_ms = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
        let late = Broken::TimedOut { after_ms, clock: Clock::Deadline };
        match self.answer.recv_timeout(ENDING) {
            Ok((client, exchange)) => {
                Ok((client, Exchange { outcome: Outcome::Broken(late), ..exchange }))
            }
            // Whoever keeps its pipe open keeps a thread waiting, and not the run.
            Err(_) => Err(CaseEnd::Broken(late)),
        }
    }

    /// Kills the process.
    pub fn kill(&self) {
        let (pid, start) = self.process;
        family::signal_to(pid, start, Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests;
