//! The other side of a conversation, as far as a [`Session`](super::Session) needs to know it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::broken::Exit;

/// A process or a thread that answers.
pub trait Party: Send {
    /// Process id, if it is a process of its own.
    fn pid(&self) -> Option<u32>;

    /// Forgets earlier peaks of memory.
    fn reset_peak(&self);

    /// Resident host memory in bytes, now.
    fn resident(&self) -> Option<u64>;

    /// Most resident host memory in bytes since [`reset_peak`](Party::reset_peak).
    fn peak(&self) -> Option<u64>;

    /// Whether it has come to its end. Never blocks and leaves the exit status to be collected.
    fn ended(&self) -> bool;

    /// Collects the exit status of a party that has ended, and whatever descends from it.
    fn collect(&mut self) -> Option<Exit>;

    /// Ends it: asks, waits for `grace`, forces.
    fn kill(&mut self, grace: Duration) -> Option<Exit>;

    /// Last words.
    fn tail(&self) -> String;

    /// Bytes written to stderr so far.
    fn stderr_bytes(&self) -> u64;

    /// The file that stderr goes to.
    fn stderr_log(&self) -> Option<&Path>;

    /// Waits for the end, and tells whether it came in time.
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
