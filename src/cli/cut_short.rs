//! What a long command that keeps no journal does at a signal: it ends the processes that it started,
//! removes its scratch folders, and says what the signal left undone.

use super::interrupt::{self, Watch};
use super::keeper::{end_processes, remove_scratch};
use super::show::say;
use super::{CommandError, exit};

/// Watches for signals until the result is dropped. `undone` is a sentence for the user.
///
/// # Errors
/// If the signals cannot be caught.
pub fn watch(undone: impl Into<String>) -> Result<Watch, CommandError> {
    let undone = undone.into();
    interrupt::watch(move |signal| {
        end_processes();
        remove_scratch();
        say(&format!("interrupted by {signal}: {undone}"));
        exit::INCOMPLETE
    })
    .map_err(CommandError::harness)
}
