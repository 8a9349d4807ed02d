//! The judge's client of a loader: it sends one request at a time, and every wait, read and process
//! is bounded, so that a loader cannot hang, flood or crash the judge.
//!
//! [`Pipe`] runs a child process and talks over its stdin and stdout. [`InProcess`] runs a
//! [`Loader`](crate::contract::Loader) on a thread of this process. Both use the same [`Session`],
//! over real pipes and the same JSON, so a difference between the two comes from the loaders. The
//! result of a request is an [`Outcome`]; [`Broken`] is every outcome that is not an answer. Other
//! modules judge whether an answer is right.

mod broken;
mod conversation;
mod greet;
mod log;
pub mod memory;
mod party;
mod process;
mod session;
mod spawn;
mod worker;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contract::Failure;
use crate::contract::reply::Reply;
use crate::contract::request::Request;
use crate::contract::wire::MAX_LINE;
use crate::harness::cell::Told;

pub use self::broken::{Broken, Clock, Exit};
pub use self::greet::{greet, same};
pub use self::log::{LOG_BYTES, TAIL_BYTES};
pub use self::session::{InProcess, Pipe, Session};
pub use self::spawn::{Gpus, Spawn, find_program};

/// A running loader that takes requests.
pub trait Client: Send {
    /// Sends one request and waits for its answer, within bounds.
    ///
    /// After [`Outcome::Broken`] the loader has ended. Every later request returns the same outcome
    /// at once.
    fn ask(&mut self, request: Request, bounds: &Bounds) -> Exchange;

    /// Sends JSON that is not a request of the contract, in the place of a request. A loader must
    /// refuse it; the caller judges what it does.
    fn ask_odd(&mut self, request: serde_json::Value, bounds: &Bounds) -> Exchange;

    /// Process id of the loader; `None` in process.
    fn pid(&self) -> Option<u32>;

    /// Process ids of the loader and of all that it has started and that lives, itself first; empty in
    /// process.
    fn family(&self) -> Vec<u32>;

    /// The last [`TAIL_BYTES`] bytes that the loader wrote to stderr, as text. In process, the
    /// message of a panic or of a failed conversation.
    fn stderr_tail(&self) -> String;

    /// The last line of them that is not empty, for a message: `; stderr: ...`, or nothing.
    fn last_words(&self) -> String {
        let words = self.stderr_tail();
        let last = words.lines().rfind(|line| !line.trim().is_empty());
        last.map_or(String::new(), |line| format!("; stderr: {}", line.trim()))
    }

    /// The file with the first [`LOG_BYTES`] bytes of the loader's stderr; `None` in process.
    fn stderr_log(&self) -> Option<&Path>;

    /// Time from the start of the loader to its first answer; `None` before the first answer.
    fn spawn_to_hello(&self) -> Option<Duration>;

    /// Sends `bye`, waits at most `patience` for the loader to end, and then ends it by force. Asked again,
    /// it says the same.
    ///
    /// The contract gives a loader [`GOODBYE`] to end.
    fn leave(&mut self, patience: Duration) -> Ending;

    /// The same, where nobody needs the client any more.
    fn end(mut self: Box<Self>, patience: Duration) -> Ending {
        self.leave(patience)
    }
}

/// How long a loader may take from `bye` to its exit.
pub const GOODBYE: Duration = Duration::from_secs(5);

/// How long a loader may take to answer `hello`. Starting CUDA takes seconds on a cold machine.
pub const HELLO: Duration = Duration::from_secs(30);

/// Limits for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Time from sending the request to its answer. Progress lines do not extend it.
    pub deadline: Duration,
    /// Longest time without any line. Progress lines reset it.
    pub idle: Option<Duration>,
    /// Largest resident host memory of the process and all that it has started, in bytes. It has no effect in
    /// process.
    pub memory_bytes: Option<u64>,
    /// Most bytes that the loader may write for one request, progress lines included.
    pub output_bytes: u64,
}

impl Bounds {
    /// A deadline, and output of twice the longest line; no other limit.
    pub const fn within(deadline: Duration) -> Self {
        Bounds { deadline, idle: None, memory_bytes: None, output_bytes: 2 * MAX_LINE as u64 }
    }

    /// Limits the resident memory, in bytes.
    pub const fn memory(mut self, bytes: u64) -> Self {
        self.memory_bytes = Some(bytes);
        self
    }

    /// Limits the time between two lines.
    pub const fn idle(mut self, longest: Duration) -> Self {
        self.idle = Some(longest);
        self
    }
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The loader served the request.
    Reply(Reply),
    /// The loader refused the request with a failure of the contract.
    Failure(Failure),
    /// The loader gave no answer that the contract allows.
    Broken(Broken),
}

/// A request's outcome, with its time and memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The outcome.
    pub outcome: Outcome,
    /// Time from sending the request to its outcome, in microseconds. Ending a broken loader is not
    /// included.
    pub elapsed_us: u64,
    /// Largest resident host memory of the process and all that it has started during the request, in bytes;
    /// `None` in process, or if the process has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
}

impl Exchange {
    /// Time from sending to the outcome.
    pub const fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed_us)
    }
}

/// How a loader ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// What was wrong with the ending. `None` if the loader answered `bye`, exited with status 0 in
    /// time, and left neither output nor processes behind.
    pub complaint: Option<Broken>,
    /// Whether it answered `bye`.
    pub answered: bool,
    /// The beginning of what it wrote to stdout after its answer to `bye`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// How the process ended; `None` if it could not be ended.
    pub exit: Option<Exit>,
    /// Time from `bye` to the end, in microseconds.
    pub elapsed_us: u64,
    /// What it had left; `None` if nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Told>,
    /// Number of bytes that the loader wrote to stderr in total.
    pub stderr_bytes: u64,
    /// The last [`TAIL_BYTES`] of them, as text.
    pub stderr_tail: String,
}
