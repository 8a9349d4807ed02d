//! The memory of a card that the harness has filled, and whether others have made room there since.

use super::{CaseEnd, CaseRun};
use crate::gpu::Ballast;
use crate::harness::evidence::memory::held_by;

/// Bytes that other processes and the driver's own tables may take or free meanwhile.
pub const ASTIR: u64 = 64 << 20;

/// Device memory that the harness occupies.
pub struct Filled {
    /// Freed when this is dropped.
    _ballast: Ballast,
    /// Bytes that it leaves free.
    pub left: u64,
    /// What the loader held there when the card was full.
    held: u64,
}

impl CaseRun<'_> {
    /// Takes the ballast that fills the run's card but for so many bytes.
    ///
    /// # Errors
    /// [`CaseEnd::Untested`] if nobody can say what the loader holds.
    pub(crate) fn filled(&mut self, ballast: Ballast, left: u64) -> Result<(), CaseEnd> {
        let held = held_by(&self.family()?, self.device()).map_err(CaseEnd::Untested)?;
        self.ballast = Some(Filled { _ballast: ballast, left, held });
        Ok(())
    }

    /// Nothing may be said of a loader that has found room on a full card, if it holds more there than was free: then
    /// another process has made room. A loader that holds less has put the model elsewhere.
    ///
    /// # Errors
    /// [`CaseEnd::Untested`] in the first case.
    pub(crate) fn nobody_made_room(&self) -> Result<(), CaseEnd> {
        let Some(filled) = &self.ballast else { return Ok(()) };
        let now = held_by(&self.family()?, self.device()).map_err(CaseEnd::Untested)?;
        match made_room(filled.left, filled.held, now) {
            false => Ok(()),
            true => Err(CaseEnd::Untested(
                "other processes freed memory of the card while it was to be full; run the case again while nothing \
                 else uses the card"
                    .to_owned(),
            )),
        }
    }
}

/// Whether a loader has come to hold more than was free.
fn made_room(left: u64, before: u64, now: u64) -> bool {
    now.saturating_sub(before) > left + ASTIR
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_loader_that_holds_more_than_was_free_has_been_given_room() {
        let left = 300 * MIB;
        assert!(made_room(left, 500 * MIB, 1_100 * MIB), "600 MiB on a card with 300 free");
        assert!(!made_room(left, 500 * MIB, 500 * MIB), "the model is not on the card");
        assert!(!made_room(left, 500 * MIB, 800 * MIB), "a part of it fits");
        assert!(!made_room(left, 500 * MIB, 100 * MIB), "memory that it kept was used");
    }
}
