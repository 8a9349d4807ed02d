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

#[cfg(test)]
mod tests {
    use super::super::{Bounds, Broken, Client, Clock, InProcess, Outcome};
    use super::*;
    use crate::contract::reply::{Done, Holdings, Introduction, Loaded, Reply};
    use crate::contract::request::{Hello, Load, Request, Stat, Unload};
    use crate::contract::{Failure, Phase};

    /// What a loader does when it is asked what it holds.
    struct Asked(fn() -> u64);

    fn unserved<T>() -> Result<T, Failure> {
        Err(Failure::unsupported(Phase::Request, "not in this test"))
    }

    impl Loader for Asked {
        fn hello(&mut self, _request: Hello) -> Result<Introduction, Failure> {
            unserved()
        }

        fn load(&mut self, _request: Load) -> Result<Loaded, Failure> {
            unserved()
        }

        fn stat(&mut self, _request: Stat) -> Result<Holdings, Failure> {
            Ok(Holdings { models: (self.0)(), host_bytes: 0, device_bytes: 0 })
        }

        fn unload(&mut self, _request: Unload) -> Result<Done, Failure> {
            unserved()
        }
    }

    /// A longer time than any of these loaders takes.
    const LONG: Duration = Duration::from_secs(60);

    fn started(does: fn() -> u64) -> InProcess {
        InProcess::start(Box::new(Asked(does))).unwrap()
    }

    /// The judge's own process would be taken for the loader's, with the judge's memory.
    #[test]
    fn a_loader_in_process_has_no_process_to_look_at() {
        let mut client = started(|| 7);
        assert_eq!((client.pid(), client.family()), (None, Vec::new()));
        // A limit that the judge itself is far beyond.
        let bounds = Bounds { memory_bytes: Some(1), ..Bounds::within(LONG) };
        let exchange = client.ask(Request::Stat(Stat {}), &bounds);
        let held = Holdings { models: 7, host_bytes: 0, device_bytes: 0 };
        assert_eq!(exchange.outcome, Outcome::Reply(Reply::Stat(held)));
        assert_eq!(exchange.peak_bytes, None);
        let ending = client.leave(LONG);
        assert_eq!((ending.complaint, ending.exit), (None, Some(Exit::Code(0))));
    }

    #[test]
    fn a_panic_ends_it_as_it_would_end_a_process() {
        for (does, said) in [
            ((|| panic!("out of luck")) as fn() -> u64, "panicked: out of luck"),
            (|| std::panic::panic_any(format!("at {}", 3)), "panicked: at 3"),
            (|| std::panic::panic_any(5), "panicked: without a message"),
        ] {
            let mut client = started(does);
            let outcome = client.ask(Request::Stat(Stat {}), &Bounds::within(LONG)).outcome;
            assert_eq!(outcome, Outcome::Broken(Broken::Exited { code: PANIC }));
            assert_eq!(client.stderr_tail(), said);
        }
    }

    #[test]
    fn one_that_hangs_is_left_behind() {
        let began = std::time::Instant::now();
        let mut client = started(|| {
            std::thread::sleep(LONG);
            0
        });
        let soon = Bounds::within(Duration::from_millis(50));
        let late = Broken::TimedOut { after_ms: 50, clock: Clock::Deadline };
        let outcome = client.ask(Request::Stat(Stat {}), &soon).outcome;
        assert_eq!(outcome, Outcome::Broken(late.clone()));
        assert_eq!(client.leave(LONG).complaint, Some(late));
        assert!(began.elapsed() < LONG / 2, "nobody waits for its thread");
    }
}
