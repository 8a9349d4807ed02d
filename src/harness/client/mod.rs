//! How the judge talks to a loader: one request at a time, and nothing the loader does can hang,
//! flood or crash the judge.
//!
//! [`Pipe`] runs a child process and speaks over its stdin and stdout; [`InProcess`] runs a
//! [`Loader`](crate::contract::Loader) on a thread of this process. Both go through the same
//! [`Session`], over real pipes and the same JSON, so a difference between the two is a difference
//! between loaders. What a loader *answers* is an [`Outcome`]; whether the answer is right is
//! judged elsewhere. [`Broken`] is all that is no answer.

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

pub use self::broken::{Broken, Clock, Exit};
pub use self::greet::greet;
pub use self::log::{LOG_BYTES, TAIL_BYTES};
pub use self::session::{InProcess, Pipe, Session};
pub use self::spawn::{Spawn, find_program};

/// A loader that can be asked.
pub trait Client: Send {
    /// Sends one request and waits for its answer, within bounds.
    ///
    /// After [`Outcome::Broken`] the loader is gone; every later request gets the same outcome
    /// again, at once.
    fn ask(&mut self, request: Request, bounds: &Bounds) -> Exchange;

    /// Sends JSON that is no request of the contract, in a request's place. A loader must refuse
    /// it; what it does instead is judged elsewhere.
    fn ask_odd(&mut self, request: serde_json::Value, bounds: &Bounds) -> Exchange;

    /// Process id of the loader; absent in process.
    fn pid(&self) -> Option<u32>;

    /// The last [`TAIL_BYTES`] bytes that the loader wrote to stderr, as text. In process, the
    /// message of a panic.
    fn stderr_tail(&self) -> String;

    /// Everything the loader wrote to stderr, as a file; absent in process.
    fn stderr_log(&self) -> Option<&Path>;

    /// Time from the start of the loader to its first answer; absent until then.
    fn spawn_to_hello(&self) -> Option<Duration>;

    /// Says `bye`, waits until the loader is gone, and makes sure that it is.
    ///
    /// The contract gives a loader [`GOODBYE`] for that.
    fn end(self: Box<Self>, patience: Duration) -> Ending;
}

/// How long a loader may take from `bye` to its exit.
pub const GOODBYE: Duration = Duration::from_secs(5);

/// How long a loader may take to answer `hello`. Starting CUDA takes seconds on a cold machine.
pub const HELLO: Duration = Duration::from_secs(30);

/// What one request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Time from sending the request to its answer. Progress lines do not extend it.
    pub deadline: Duration,
    /// Longest time without any line. Progress lines reset it.
    pub idle: Option<Duration>,
    /// Most host memory the process may hold resident, in bytes. Means nothing in process.
    pub memory_bytes: Option<u64>,
    /// Most bytes that the loader may write in answer, progress lines included.
    pub output_bytes: u64,
}

impl Bounds {
    /// A deadline, room for one longest answer and as many bytes of progress, no other bound.
    pub const fn within(deadline: Duration) -> Self {
        Bounds { deadline, idle: None, memory_bytes: None, output_bytes: 2 * MAX_LINE as u64 }
    }

    /// Bounds the resident memory, in bytes.
    pub const fn memory(mut self, bytes: u64) -> Self {
        self.memory_bytes = Some(bytes);
        self
    }

    /// Bounds the time between two lines.
    pub const fn idle(mut self, longest: Duration) -> Self {
        self.idle = Some(longest);
        self
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The loader served it.
    Reply(Reply),
    /// The loader said no, in the contract's own words.
    Failure(Failure),
    /// No answer that the contract knows.
    Broken(Broken),
}

/// A request's outcome, and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// What became of it.
    pub outcome: Outcome,
    /// Time from sending to the outcome, in microseconds, cleaning up after a broken loader not
    /// included.
    pub elapsed_us: u64,
    /// Most host memory that the process held resident meanwhile, in bytes; absent in process, and
    /// where the process is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
}

impl Exchange {
    /// Time from sending to the outcome.
    pub const fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed_us)
    }
}

/// How a loader left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// What was wrong with it; nothing where `bye` was answered, the process ended with 0 in time,
    /// and left neither output nor processes behind.
    pub complaint: Option<Broken>,
    /// How the process ended; absent where it could not be made to.
    pub exit: Option<Exit>,
    /// Time from `bye` to the end, in microseconds.
    pub elapsed_us: u64,
    /// Bytes written to stderr during the whole life of the loader.
    pub stderr_bytes: u64,
    /// The last of them, as text.
    pub stderr_tail: String,
}
