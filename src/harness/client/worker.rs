//! Runs a loader on a thread of this process, over the same kind of pipes and the same JSON as a
//! child process.

use std::any::Any;
use std::io::{self, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::broken::Exit;
use super::conversation::Conversation;
use super::party::Party;
use crate::contract::Loader;
use crate::contract::serve::converse;

/// Exit code of a Rust program that panics.
const PANIC: i32 = 101;

/// A thread that runs a loader.
pub struct Worker {
    /// `None` after its exit was collected, or after the thread was abandoned.
    thread: Option<JoinHandle<Exit>>,
    last_words: Arc<Mutex<String>>,
}

impl Worker {
    /// Starts the thread and opens a conversation with it.
    pub(super) fn start(mut loader: Box<dyn Loader + Send>) -> io::Result<(Worker, Conversation)> {
        let (questions, to_loader) = io::pipe()?;
        let (from_loader, mut answers) = io::pipe()?;
        let last_words = Arc::new(Mutex::new(String::new()));
        let words = Arc::clone(&last_words);
        let serve = move || {
            let mut questions = BufReader::new(questions);
            // The loader is not used after a panic, so a broken invariant has no effect.
            match catch_unwind(AssertUnwindSafe(|| {
                converse(loader.as_mut(), &mut questions, &mut answers)
            })) {
                Ok(Ok(())) => Exit::Code(0),
                Ok(Err(error)) => {
                    say(&words, error.to_string());
                    Exit::Code(1)
                }
                Err(panic) => {
                    say(&words, message(panic.as_ref()));
                    // Dropping the loader may panic too; its first panic is already recorded.
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(loader)));
                    Exit::Code(PANIC)
                }
            }
        };
        let thread = std::thread::Builder::new().name("loader".to_owned()).spawn(serve)?;
        let conversation = Conversation::new(to_loader.into(), from_loader.into())?;
        Ok((Worker { thread: Some(thread), last_words }, conversation))
    }
}

impl Party for Worker {
    fn pid(&self) -> Option<u32> {
        None
    }

    fn reset_peak(&self) {}

    fn resident(&self) -> Option<u64> {
        None
    }

    fn peak(&self) -> Option<u64> {
        None
    }

    fn ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn collect(&mut self) -> Option<Exit> {
        let thread = self.thread.take()?;
        Some(thread.join().unwrap_or(Exit::Code(PANIC)))
    }

    fn kill(&mut self, grace: Duration) -> Option<Exit> {
        if self.wait_ended(grace) {
            return self.collect();
        }
        self.thread = None;
        None
    }

    fn tail(&self) -> String {
        self.last_words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stderr_bytes(&self) -> u64 {
        self.tail().len() as u64
    }

    fn stderr_log(&self) -> Option<&Path> {
        None
    }
}

fn say(words: &Mutex<String>, text: String) {
    *words.lock().unwrap_or_else(PoisonError::into_inner) = text;
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_else(|| "without a message".to_owned()))
}
