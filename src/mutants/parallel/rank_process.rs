//! The process of one rank: this program again as the reference loader, which is asked for that rank alone.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::contract::request::Request;
use crate::contract::wire::{Line, Question};
use crate::mutants::between::Answer;

/// Why a process has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It has ended.
    Ended,
    /// It has not answered in time.
    Late,
}

/// A process that answers for one rank.
pub(super) struct RankProcess {
    pub(super) rank: u32,
    /// The handle of the model in that process.
    pub(super) handle: u64,
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The number of the last request.
    asked: u64,
}

impl RankProcess {
    /// Starts the process.
    pub(super) fn start(rank: u32) -> std::io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("loader").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(asks), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("the process has no pipes"));
        };
        Ok(RankProcess { rank, handle: 0, child, asks, answers: BufReader::new(answers), asked: 0 })
    }

    /// Sends a request.
    pub(super) fn send(&mut self, request: Request) -> Result<(), Lost> {
        self.asked += 1;
        let question = Question { id: self.asked, request };
        let text = serde_json::to_string(&question).map_err(|_| Lost::Ended)?;
        writeln!(self.asks, "{text}").and_then(|()| self.asks.flush()).map_err(|_| Lost::Ended)
    }

    /// Waits for the answer, or for so many milliseconds where a limit is given.
    pub(super) fn answer(&mut self, limit_ms: Option<u16>) -> Result<Answer, Lost> {
        loop {
            if let Some(limit) = limit_ms.filter(|_| self.answers.buffer().is_empty()) {
                let mut look = [PollFd::new(self.answers.get_ref().as_fd(), PollFlags::POLLIN)];
                if !poll(&mut look, PollTimeout::from(limit)).is_ok_and(|ready| ready > 0) {
                    return Err(Lost::Late);
                }
            }
            let mut text = String::new();
            if self.answers.read_line(&mut text).map_err(|_| Lost::Ended)? == 0 {
                return Err(Lost::Ended);
            }
            match serde_json::from_str::<Line>(&text).map_err(|_| Lost::Ended)? {
                // A late answer to an earlier request.
                Line { id, .. } if id != self.asked => {}
                Line { reply: Some(reply), .. } => return Ok(Ok(reply)),
                Line { failure: Some(failure), .. } => return Ok(Err(failure)),
                // A line of progress.
                _ => {}
            }
        }
    }

    /// Sends a request and waits for its answer.
    pub(super) fn ask(&mut self, request: Request, limit_ms: Option<u16>) -> Result<Answer, Lost> {
        self.send(request)?;
        self.answer(limit_ms)
    }
}

impl Drop for RankProcess {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}
