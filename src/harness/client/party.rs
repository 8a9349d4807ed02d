//! The loader's side of a conversation, as a [`Session`](super::Session) sees it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::broken::Exit;
use crate::harness::cell::Told;

/// A child process or a thread that runs a loader.
pub trait Party: Send {
    /// Process id; `None` for a thread.
    fn pid(&self) -> Option<u32>;

    /// Its process and all that it has started and that lives, itself first; nothing for a thread.
    fn family(&self) -> Vec<u32> {
        Vec::new()
    }

    /// Resets the peak of resident memory.
    fn reset_peak(&self);

    /// Current resident host memory of the family in bytes; `None` for a thread.
    fn resident(&self) -> Option<u64>;

    /// Largest resident host memory in bytes since [`reset_peak`](Party::reset_peak): that of the process by
    /// the kernel, and that of the family as far as it was looked at; `None` for a thread.
    fn peak(&self) -> Option<u64>;

    /// Whether it has ended. Does not block and does not collect the exit status.
    fn ended(&self) -> bool;

    /// Collects the exit status of a party that has ended, and kills its process group. `None` if
    /// the status was collected before.
    fn collect(&mut self) -> Option<Exit>;

    /// Ends it: asks a process to end, waits for `grace`, then kills it. A thread cannot be killed;
    /// it is abandoned after `grace`.
    fn kill(&mut self, grace: Duration) -> Option<Exit>;

    /// Notes which processes belong to it now, so that those which outlive it are known.
    fn note_family(&self) {}

    /// How long it may seem to live on because of what it has started.
    fn aftermath(&self) -> Duration {
        Duration::ZERO
    }

    /// What it had left when it ended, and ends that; `None` if nobody looked.
    fn left(&self) -> Option<Told> {
        None
    }

    /// Whether the judge was stopped while it ran, as its supervisor tells.
    fn stopped_judge(&self) -> bool {
        false
    }

    /// The end of stderr; for a thread, the message of a panic or of a failed conversation.
    fn tail(&self) -> String;

    /// Bytes written to stderr so far.
    fn stderr_bytes(&self) -> u64;

    /// The file that stderr goes to; `None` for a thread.
    fn stderr_log(&self) -> Option<&Path>;

    /// Waits at most `patience` for the end. Returns whether it has ended.
    fn wait_ended(&self, patience: Duration) -> bool {
        let start = Instant::now();
        let mut pause = Duration::from_micros(200);
        loop {
            if self.ended() {
                return true;
            }
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(pause.min(left));
            pause = (2 * pause).min(Duration::from_millis(5));
        }
    }
}
