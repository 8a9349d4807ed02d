//! Sends one request and receives its answer over a pair of pipes; every wait is bounded.
//!
//! Both pipe ends on this side are non-blocking, and the asking thread polls them together. A
//! loader that does not read cannot block the sending, and one that does not write cannot block the
//! receiving. Neither leaves a blocked thread behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::broken::{Broken, Clock, excerpt};
use super::party::Party;
use super::{Bounds, Outcome};
use crate::contract::PROTOCOL;
use crate::contract::request::Request;
use crate::contract::wire::{Line, MAX_LINE, Question};

/// Interval at which a waiting judge checks whether the process lives and how much memory it holds.
/// Output ends the wait at once.
const LOOK: Duration = Duration::from_millis(5);

/// This side's ends of the two pipes, and bytes that were received and not used yet.
pub(super) struct Conversation {
    /// `None` after the loader has closed its stdin, or after the last request.
    to_loader: Option<File>,
    from_loader: File,
    received: Vec<u8>,
    /// Number of leading bytes of `received` that hold no newline.
    searched: usize,
    closed: bool,
    last_id: u64,
    transcript: Option<File>,
}

/// Why an exchange has no answer.
pub(super) enum Stop {
    /// The loader broke the protocol or a bound.
    Broken(Broken),
    /// The loader has ended, or has closed its output. Its exit status tells which.
    Gone,
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Stop::Broken(broken)
    }
}

/// What is sent: a request of the contract, or one that every loader must refuse.
pub(super) enum Asked {
    /// A request of the contract.
    Sound(Box<Request>),
    /// Any JSON in the place of a request.
    Odd(serde_json::Value),
}

impl Asked {
    /// The verb that a reply must have. An odd request has none; the caller judges any reply to it.
    fn verb(&self) -> Option<&'static str> {
        match self {
            Asked::Sound(request) => Some(request.verb()),
            Asked::Odd(_) => None,
        }
    }

    fn text(self, id: u64) -> serde_json::Result<Vec<u8>> {
        match self {
            Asked::Sound(request) => serde_json::to_vec(&Question { id, request: *request }),
            Asked::Odd(request) => {
                serde_json::to_vec(&serde_json::json!({ "id": id, "request": request }))
            }
        }
    }
}

/// A request that was sent and has no answer yet.
struct Open<'a> {
    id: u64,
    verb: Option<&'static str>,
    unsent: &'a [u8],
    bounds: &'a Bounds,
    started: Instant,
    heard: Instant,
    looked: Option<Instant>,
    taken: u64,
}

impl Conversation {
    /// A conversation over this side's pipe ends.
    ///
    /// # Errors
    /// If the pipe ends cannot be made non-blocking.
    pub(super) fn new(to_loader: OwnedFd, from_loader: OwnedFd) -> io::Result<Self> {
        let (to_loader, from_loader) = (File::from(to_loader), File::from(from_loader));
        unblock(&to_loader)?;
        unblock(&from_loader)?;
        Ok(Conversation {
            to_loader: Some(to_loader),
            from_loader,
            received: Vec::new(),
            searched: 0,
            closed: false,
            last_id: 0,
            transcript: None,
        })
    }

    /// The same conversation, which also appends every complete line to a file.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub(super) fn written_to(mut self, file: &Path) -> io::Result<Self> {
        self.transcript = Some(OpenOptions::new().create(true).append(true).open(file)?);
        Ok(self)
    }

    fn write_down(&mut self, side: &str, line: &[u8]) -> Result<(), Broken> {
        let Some(file) = &mut self.transcript else { return Ok(()) };
        file.write_all(&[side.as_bytes(), line].concat())
            .map_err(|error| Broken::Exchange { why: format!("writing the transcript: {error}") })
    }

    /// Sends one request and waits for its answer.
    pub(super) fn ask(
        &mut self,
        request: Asked,
        bounds: &Bounds,
        party: &dyn Party,
    ) -> Result<Outcome, Stop> {
        self.silent_so_far()?;
        self.last_id += 1;
        let (id, verb) = (self.last_id, request.verb());
        let mut text =
            request.text(id).map_err(|error| Broken::Exchange { why: error.to_string() })?;
        text.push(b'\n');
        if text.len() > MAX_LINE {
            let why = format!("request of {} bytes, a line may have {MAX_LINE}", text.len());
            return Err(Broken::Exchange { why }.into());
        }
        self.write_down("> ", &text)?;
        let started = Instant::now();
        let mut open = Open {
            id,
            verb,
            unsent: &text,
            bounds,
            started,
            heard: started,
            looked: None,
            taken: 0,
        };
        loop {
            while let Some(line) = self.take_line() {
                self.write_down("< ", &line)?;
                if let Some(outcome) = open.judge(&line)? {
                    return Ok(outcome);
                }
            }
            if self.received.len() >= MAX_LINE {
                return Err(Broken::LineTooLong { limit: MAX_LINE as u64 }.into());
            }
            if self.closed {
                return Err(Stop::Gone);
            }
            // Checked before reading, so that everything a process wrote before its end is read.
            let ended = open.look(party)?;
            let wait = if ended { Duration::ZERO } else { open.patience()?.min(LOOK) };
            self.poll(&mut open, wait)?;
            let count = self.read()?;
            open.taken += count as u64;
            if open.taken > bounds.output_bytes {
                return Err(Broken::Flooded { limit: bounds.output_bytes }.into());
            }
            if ended && count == 0 {
                return Err(Stop::Gone);
            }
        }
    }

    /// Closes the loader's stdin after the last request.
    pub(super) fn hang_up(&mut self) {
        self.to_loader = None;
    }

    /// Waits for the end of the output.
    ///
    /// # Errors
    /// If the loader still writes something, or its output stays open for `patience`.
    pub(super) fn await_end(&mut self, patience: Duration) -> Result<(), Broken> {
        let started = Instant::now();
        loop {
            match self.silent_so_far() {
                Ok(()) => {}
                Err(Stop::Broken(broken)) => return Err(broken),
                Err(Stop::Gone) => return Ok(()),
            }
            let left = patience.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(Broken::LeftBehind);
            }
            let mut watched = [PollFd::new(self.from_loader.as_fd(), PollFlags::POLLIN)];
            wait_for(&mut watched, left)?;
        }
    }

    /// Checks that the loader has written nothing since its last answer.
    fn silent_so_far(&mut self) -> Result<(), Stop> {
        self.read()?;
        if !self.received.is_empty() {
            let end = self.received.iter().position(|&byte| byte == b'\n');
            let line = &self.received[..end.map_or(self.received.len(), |end| end + 1)];
            return Err(Broken::Unsolicited { line: excerpt(line) }.into());
        }
        if self.closed { Err(Stop::Gone) } else { Ok(()) }
    }

    fn poll(&mut self, open: &mut Open<'_>, wait: Duration) -> Result<(), Broken> {
        let mut watched = vec![PollFd::new(self.from_loader.as_fd(), PollFlags::POLLIN)];
        if let Some(to_loader) = self.to_loader.as_ref().filter(|_| !open.unsent.is_empty()) {
            watched.push(PollFd::new(to_loader.as_fd(), PollFlags::POLLOUT));
        }
        wait_for(&mut watched, wait)?;
        if watched.get(1).and_then(PollFd::any) != Some(true) {
            return Ok(());
        }
        let Some(to_loader) = &mut self.to_loader else { return Ok(()) };
        match to_loader.write(open.unsent) {
            Ok(count) => open.unsent = &open.unsent[count..],
            Err(error) if is_passing(&error) => {}
            // A loader that closed its stdin may be about to exit. Its exit status, or the
            // deadline, tells more than the broken pipe.
            Err(_) => self.to_loader = None,
        }
        Ok(())
    }

    /// Reads at most 64 KiB of what has arrived, without waiting.
    fn read(&mut self) -> Result<usize, Broken> {
        let mut piece = [0; 64 << 10];
        match self.from_loader.read(&mut piece) {
            Ok(0) => {
                self.closed = true;
                Ok(0)
            }
            Ok(count) => {
                self.received.extend_from_slice(&piece[..count]);
                Ok(count)
            }
            Err(error) if is_passing(&error) => Ok(0),
            Err(error) => Err(Broken::Exchange { why: format!("reading failed: {error}") }),
        }
    }

    /// The next complete line, newline included.
    fn take_line(&mut self) -> Option<Vec<u8>> {
        let Some(end) = self.received[self.searched..].iter().position(|&byte| byte == b'\n')
        else {
            self.searched = self.received.len();
            return None;
        };
        let rest = self.received.split_off(self.searched + end + 1);
        self.searched = 0;
        Some(std::mem::replace(&mut self.received, rest))
    }
}

impl Open<'_> {
    /// Interprets a line: `Some` for the request's answer, `None` for progress.
    fn judge(&mut self, text: &[u8]) -> Result<Option<Outcome>, Broken> {
        if text.len() > MAX_LINE {
            return Err(Broken::LineTooLong { limit: MAX_LINE as u64 });
        }
        let malformed = |why: String| Broken::Malformed { line: excerpt(text), why };
        let line: Line = serde_json::from_slice(text).map_err(|error| {
            other_protocol(text).unwrap_or_else(|| malformed(error.to_string()))
        })?;
        if line.id != self.id {
            return Err(Broken::WrongId { expected: self.id, found: line.id });
        }
        if !self.unsent.is_empty() {
            return Err(malformed("the loader answered before it read the request".to_owned()));
        }
        match line {
            Line { reply: Some(reply), failure: None, progress: None, .. } => match self.verb {
                Some(asked) if asked != reply.verb() => {
                    let (asked, answered) = (asked.to_owned(), reply.verb().to_owned());
                    Err(Broken::WrongVerb { asked, answered })
                }
                _ => Ok(Some(Outcome::Reply(reply))),
            },
            Line { reply: None, failure: Some(failure), progress: None, .. } => {
                Ok(Some(Outcome::Failure(failure)))
            }
            Line { reply: None, failure: None, progress: Some(progress), .. } => {
                if progress.done > progress.total {
                    return Err(malformed("progress is more than its total".to_owned()));
                }
                self.heard = Instant::now();
                Ok(None)
            }
            _ => Err(malformed("not exactly one of reply, failure and progress".to_owned())),
        }
    }

    /// If [`LOOK`] has passed since the last check: checks the memory limit, and returns whether
    /// the loader has ended.
    fn look(&mut self, party: &dyn Party) -> Result<bool, Broken> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(false);
        }
        self.looked = Some(Instant::now());
        if let Some(limit) = self.bounds.memory_bytes
            && let Some(bytes) = party.resident()
            && bytes > limit
        {
            return Err(Broken::TooMuchMemory { bytes, limit });
        }
        Ok(party.ended())
    }

    /// Time left until the first of the two bounds, deadline or idle time, runs out.
    fn patience(&self) -> Result<Duration, Broken> {
        let deadline = (self.bounds.deadline, self.started, Clock::Deadline);
        let idle = self.bounds.idle.map(|idle| (idle, self.heard, Clock::Idle));
        let mut least = Duration::MAX;
        for (bound, since, clock) in std::iter::once(deadline).chain(idle) {
            let left = bound.saturating_sub(since.elapsed());
            if left.is_zero() {
                let after_ms = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
                return Err(Broken::TimedOut { after_ms, clock });
            }
            least = least.min(left);
        }
        Ok(least)
    }
}

/// The protocol number in an answer to `hello` that this build's types cannot read, if it is not ours.
fn other_protocol(text: &[u8]) -> Option<Broken> {
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    let found = value.pointer("/reply/hello/protocol")?.as_u64()?;
    let found = u32::try_from(found).ok().filter(|found| *found != PROTOCOL)?;
    Some(Broken::WrongProtocol { expected: PROTOCOL, found })
}

/// Makes reads and writes on this file non-blocking. The two ends of a pipe are separate open file
/// descriptions, so the loader's end stays blocking.
pub(super) fn unblock(file: &File) -> io::Result<()> {
    fcntl(file, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

fn wait_for(watched: &mut [PollFd<'_>], wait: Duration) -> Result<(), Broken> {
    // Rounded up, because a wait rounded down to zero would spin for the last millisecond.
    let milliseconds = u16::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
    match poll(watched, PollTimeout::from(milliseconds)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(Broken::Exchange { why: format!("waiting failed: {error}") }),
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
