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
    /// Its answer, if it came while another process was waited for.
    early: Option<Result<Answer, Lost>>,
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
        let answers = BufReader::new(answers);
        Ok(RankProcess { rank, handle: 0, child, asks, answers, asked: 0, early: None })
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
        if let Some(early) = self.early.take() {
            return early;
        }
        loop {
            if limit_ms.is_some_and(|limit| !is_ready(&[&*self], PollTimeout::from(limit))[0]) {
                return Err(Lost::Late);
            }
            if let Some(answer) = self.line()? {
                return Ok(answer);
            }
        }
    }

    /// Reads a line. Gives the answer to the last request, if that is one.
    fn line(&mut self) -> Result<Option<Answer>, Lost> {
        let mut text = String::new();
        if self.answers.read_line(&mut text).map_err(|_| Lost::Ended)? == 0 {
            return Err(Lost::Ended);
        }
        match serde_json::from_str::<Line>(&text).map_err(|_| Lost::Ended)? {
            // A late answer to an earlier request.
            Line { id, .. } if id != self.asked => Ok(None),
            Line { reply: Some(reply), .. } => Ok(Some(Ok(reply))),
            Line { failure: Some(failure), .. } => Ok(Some(Err(failure))),
            // A line of progress.
            _ => Ok(None),
        }
    }

    /// Sends a request and waits for its answer.
    pub(super) fn ask(&mut self, request: Request, limit_ms: Option<u16>) -> Result<Answer, Lost> {
        self.send(request)?;
        self.answer(limit_ms)
    }
}

/// Waits until one of the processes has answered or ended.
pub(super) fn wait_for_any(processes: &mut [RankProcess]) {
    while !processes.is_empty() && processes.iter().all(|process| process.early.is_none()) {
        let all: Vec<&RankProcess> = processes.iter().collect();
        let ready = is_ready(&all, PollTimeout::NONE);
        for (process, _) in processes.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            process.early = process.line().transpose();
        }
    }
}

/// For each process whether there is something to read from it, or it has ended.
fn is_ready(processes: &[&RankProcess], limit: PollTimeout) -> Vec<bool> {
    let buffered = |process: &&RankProcess| !process.answers.buffer().is_empty();
    if processes.iter().any(buffered) {
        return processes.iter().map(buffered).collect();
    }
    let pipes = processes.iter().map(|process| process.answers.get_ref().as_fd());
    let mut look: Vec<PollFd<'_>> =
        pipes.map(|pipe| PollFd::new(pipe, PollFlags::POLLIN)).collect();
    let polled = poll(&mut look, limit).is_ok();
    look.iter().map(|one| polled && one.any().unwrap_or(false)).collect()
}

impl Drop for RankProcess {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}
