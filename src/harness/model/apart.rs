//! The tokenizer and the chat template of a folder that strangers have published, read and run in a process of
//! their own. They are programs: an expression may not end, a step may make a text a million times as long. The
//! process has a bound of memory, an answer has a bound of time, and beyond either the folder is not judged.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contract::generation::Turn;

/// The hidden command that starts such a process.
pub const COMMAND: &str = "documents";

/// The code of a folder that takes more than the bounds.
pub const CODE: &str = "documents_unbounded";

/// What a folder may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Memory of the process, in bytes. The largest tokenizers in use take less than a gigabyte.
    pub memory: u64,
    /// Time of one answer. The slowest in use take less than ten seconds on a busy machine.
    pub patience: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { memory: 4 << 30, patience: Duration::from_secs(60) }
    }
}

/// A question to the process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    /// The tokens of a conversation at a moment, by the folder's own template.
    Tokens(Vec<Turn>, i64),
    /// The tokens of a text.
    Bare(String),
    /// The text of tokens.
    Text(Vec<u32>),
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    /// The folder is read.
    Ready,
    /// Tokens.
    Tokens(Vec<u32>),
    /// A text.
    Text(String),
    /// Why there is none.
    Failed(String),
}

/// A process that has read a folder.
pub struct Apart {
    bounds: Bounds,
    held: Mutex<Result<Held, String>>,
}

struct Held {
    child: Child,
    questions: ChildStdin,
    answers: Receiver<String>,
}

impl fmt::Debug for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Apart").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl Apart {
    /// Starts a process of this program that reads a folder. `template` says whether its chat template is
    /// read too.
    ///
    /// # Errors
    /// What the folder lacks; that it takes too much, with [`CODE`]; that no process can be started.
    pub fn start(
        program: &Path,
        folder: &Path,
        template: bool,
        bounds: Bounds,
    ) -> Result<Apart, String> {
        let mut command = Command::new(program);
        command.args([
            COMMAND,
            &bounds.memory.to_string(),
            if template { "whole" } else { "bare" },
        ]);
        command.arg(folder).env_clear();
        if cfg!(coverage) {
            // A build that measures its coverage: the process writes its profile beside this one's.
            command.envs(std::env::vars_os().filter(|(name, _)| name == "LLVM_PROFILE_FILE"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let told = |error: std::io::Error| format!("no process for the tokenizer: {error}");
        let mut child = command.spawn().map_err(told)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (questions, output) = pipes.ok_or("no pipes to the process for the tokenizer")?;
        let (tell, answers) = channel();
        // Ends with the output of the process.
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for line in lines {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        let apart = Apart { bounds, held: Mutex::new(Ok(Held { child, questions, answers })) };
        match apart.wait("reading the tokenizer and the chat template")? {
            Told::Failed(why) => Err(why),
            _ => Ok(apart),
        }
    }

    /// Asks for tokens.
    pub(super) fn tokens(&self, ask: &Ask) -> Result<Vec<u32>, String> {
        match self.ask(ask, "the tokens of a text")? {
            Told::Tokens(tokens) => Ok(tokens),
            Told::Failed(why) => Err(why),
            other => Err(format!("not tokens: {other:?}")),
        }
    }

    /// Asks for a text.
    pub(super) fn text(&self, ask: &Ask) -> Result<String, String> {
        match self.ask(ask, "the text of tokens")? {
            Told::Text(text) => Ok(text),
            Told::Failed(why) => Err(why),
            other => Err(format!("not a text: {other:?}")),
        }
    }

    fn ask(&self, ask: &Ask, what: &str) -> Result<Told, String> {
        let mut line = serde_json::to_string(ask).map_err(|error| error.to_string())?;
        line.push('\n');
        {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *held {
                // A process that has ended is noticed when its answer does not come.
                Ok(held) => drop(held.questions.write_all(line.as_bytes())),
                Err(why) => return Err(why.clone()),
            }
        }
        self.wait(what)
    }

    /// Waits for an answer. A process that is late, or has ended, is no longer asked.
    fn wait(&self, what: &str) -> Result<Told, String> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match &mut *held {
            Ok(open) => open,
            Err(why) => return Err(why.clone()),
        };
        let why = match open.answers.recv_timeout(self.bounds.patience) {
            Ok(line) => {
                return serde_json::from_str(&line).map_err(|error| error.to_string());
            }
            Err(RecvTimeoutError::Timeout) => {
                format!("{CODE}: {what} took more than {:?}", self.bounds.patience)
            }
            Err(RecvTimeoutError::Disconnected) => format!(
                "{CODE}: the process for it ended at {what}: it may take {} MiB",
                self.bounds.memory >> 20
            ),
        };
        open.end();
        *held = Err(why.clone());
        Err(why)
    }
}

impl Held {
    fn end(&mut self) {
        // One that has ended by itself cannot be killed.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Ok(held) = self.held.get_mut().unwrap_or_else(PoisonError::into_inner) {
            held.end();
        }
    }
}
