//! A session with a loader from start to end, for a child process and for a thread of this process.

use std::path::Path;
use std::time::{Duration, Instant};

use super::broken::{Broken, Exit};
use super::conversation::{Asked, Conversation, Stop};
use super::party::Party;
use super::process::Process;
use super::spawn::Spawn;
use super::worker::Worker;
use super::{Bounds, Client, Ending, Exchange, Outcome};
use crate::contract::Loader;
use crate::contract::request::{Bye, Request};
use crate::harness::cell::AFTERMATH;

/// A loader in a child process.
pub type Pipe = Session<Process>;

/// A loader on a thread of this process.
///
/// A panic counts as exit status 101, as in a child process. A thread cannot be killed: one that
/// hangs is abandoned, and ends when the loader returns.
pub type InProcess = Session<Worker>;

/// A conversation with a loader, and control over its process or thread.
pub struct Session<P> {
    party: P,
    conversation: Conversation,
    born: Instant,
    first_answer: Option<Duration>,
    /// Time between asking a process to end and killing it.
    grace: Duration,
    dead: Option<(Broken, Option<Exit>)>,
    /// How it ended, once it was asked to.
    ending: Option<Ending>,
}

impl Pipe {
    /// Starts a child process.
    ///
    /// # Errors
    /// [`Broken::NotStarted`].
    pub fn start(spawn: &Spawn) -> Result<Pipe, Broken> {
        let born = Instant::now();
        let (party, conversation) =
            Process::start(spawn).map_err(|error| Broken::NotStarted { why: error.to_string() })?;
        Ok(Session {
            party,
            conversation,
            born,
            first_answer: None,
            grace: spawn.grace,
            dead: None,
            ending: None,
        })
    }
}

impl InProcess {
    /// Starts a loader on a thread.
    ///
    /// # Errors
    /// [`Broken::NotStarted`], if no pipe or thread can be created.
    pub fn start(loader: Box<dyn Loader + Send>) -> Result<InProcess, Broken> {
        let born = Instant::now();
        let (party, conversation) =
            Worker::start(loader).map_err(|error| Broken::NotStarted { why: error.to_string() })?;
        let grace = Duration::from_millis(100);
        Ok(Session {
            party,
            conversation,
            born,
            first_answer: None,
            grace,
            dead: None,
            ending: None,
        })
    }
}

impl<P: Party> Session<P> {
    /// Ends a loader that gave no answer, and returns why it gave none.
    fn bury(&mut self, stop: Stop) -> Broken {
        let (broken, exit) = match stop {
            Stop::Broken(broken) => (broken, self.party.kill(self.grace)),
            // A process closes its output before it ends. The time between can be long if a CUDA
            // context is destroyed in between.
            Stop::Gone if self.party.wait_ended(self.grace) => match self.party.collect() {
                Some(exit) => (exit.clone().into(), Some(exit)),
                None => (Broken::ClosedOutput, None),
            },
            Stop::Gone => (Broken::ClosedOutput, self.party.kill(self.grace)),
        };
        let broken = if self.party.stopped_judge() { Broken::StoppedJudge } else { broken };
        self.dead = Some((broken.clone(), exit));
        broken
    }

    /// Sends `bye` and waits for the process's end.
    fn depart(&mut self, patience: Duration) -> Ending {
        let started = Instant::now();
        let left = |started: &Instant| patience.saturating_sub(started.elapsed());
        self.party.note_family();
        let farewell = self.ask(Request::Bye(Bye {}), &Bounds::within(patience)).outcome;
        if let Some((broken, exit)) = &self.dead {
            let remains = self.party.left();
            return Ending { left: remains, ..self.ending(Some(broken.clone()), exit.clone()) };
        }
        self.conversation.hang_up();
        if !self.party.wait_ended(left(&started) + self.party.aftermath()) {
            let after_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
            let exit = self.party.kill(self.grace);
            return Ending {
                answered: true,
                ..self.ending(Some(Broken::StillRunning { after_ms }), exit)
            };
        }
        // This comes before the look at what is left, which also ends it: who holds the output open would
        // then go unnoticed.
        let silence = self.conversation.await_end(left(&started).min(AFTERMATH));
        let remains = self.party.left();
        let exit = self.party.collect();
        let output = match &silence {
            Err(Broken::Unsolicited { line }) => Some(line.clone()),
            _ => None,
        };
        let complaint = match (farewell, &exit) {
            (Outcome::Failure(failure), _) => {
                Some(Broken::Refused { verb: "bye".to_owned(), failure: Box::new(failure) })
            }
            (_, Some(exit)) if *exit != Exit::Code(0) => Some(exit.clone().into()),
            _ => silence.err(),
        };
        Ending { answered: true, output, left: remains, ..self.ending(complaint, exit) }
    }

    fn ending(&self, complaint: Option<Broken>, exit: Option<Exit>) -> Ending {
        Ending {
            complaint,
            answered: false,
            output: None,
            exit,
            elapsed_us: 0,
            left: None,
            stderr_bytes: self.party.stderr_bytes(),
            stderr_tail: self.party.tail(),
        }
    }
}

impl<P: Party> Session<P> {
    fn exchange(&mut self, request: Asked, bounds: &Bounds) -> Exchange {
        if let Some((broken, _)) = &self.dead {
            let outcome = Outcome::Broken(broken.clone());
            return Exchange { outcome, elapsed_us: 0, peak_bytes: None };
        }
        self.party.reset_peak();
        let started = Instant::now();
        let answer = self.conversation.ask(request, bounds, &self.party);
        let elapsed_us = micros(started.elapsed());
        let peak_bytes = self.party.peak();
        // The peak also shows memory that was allocated and freed between two checks.
        let answer = match (peak_bytes, bounds.memory_bytes) {
            (Some(bytes), Some(limit)) if answer.is_ok() && bytes > limit => {
                Err(Broken::TooMuchMemory { bytes, limit }.into())
            }
            _ => answer,
        };
        let outcome = match answer {
            Ok(outcome) => {
                self.first_answer.get_or_insert_with(|| self.born.elapsed());
                outcome
            }
            Err(stop) => Outcome::Broken(self.bury(stop)),
        };
        Exchange { outcome, elapsed_us, peak_bytes }
    }
}

impl<P: Party> Client for Session<P> {
    fn ask(&mut self, request: Request, bounds: &Bounds) -> Exchange {
        self.exchange(Asked::Sound(Box::new(request)), bounds)
    }

    fn ask_odd(&mut self, request: serde_json::Value, bounds: &Bounds) -> Exchange {
        self.exchange(Asked::Odd(request), bounds)
    }

    fn pid(&self) -> Option<u32> {
        self.party.pid()
    }

    fn family(&self) -> Vec<u32> {
        self.party.family()
    }

    fn stderr_tail(&self) -> String {
        self.party.tail()
    }

    fn stderr_log(&self) -> Option<&Path> {
        self.party.stderr_log()
    }

    fn spawn_to_hello(&self) -> Option<Duration> {
        self.first_answer
    }

    fn leave(&mut self, patience: Duration) -> Ending {
        if let Some(before) = &self.ending {
            return before.clone();
        }
        let started = Instant::now();
        let ending = match self.dead.clone() {
            Some((broken, exit)) => {
                Ending { left: self.party.left(), ..self.ending(Some(broken), exit) }
            }
            None => self.depart(patience),
        };
        let ending = Ending { elapsed_us: micros(started.elapsed()), ..ending };
        let gone = ending.complaint.clone().unwrap_or(Broken::Exited { code: 0 });
        self.dead.get_or_insert((gone, ending.exit.clone()));
        self.ending.insert(ending).clone()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
