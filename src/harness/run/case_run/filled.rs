//! The memory of a card that the harness has filled, and whether others have made room there since.

use crate::contract::Device;
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

impl Filled {
    /// The ballast that fills a card but for so many bytes, and what the loader's family holds there now.
    ///
    /// # Errors
    /// If nobody can say what the loader holds.
    pub fn by(ballast: Ballast, left: u64, family: &[u32], on: Device) -> Result<Self, String> {
        Ok(Filled { _ballast: ballast, left, held: held_by(family, on)? })
    }

    /// Nothing may be said of a loader that has found room on a full card, if it holds more there than was free: then
    /// another process has made room. A loader that holds less has put the model elsewhere.
    ///
    /// # Errors
    /// In the first case, or if nobody can say what the loader holds.
    pub fn nobody_made_room(&self, family: &[u32], on: Device) -> Result<(), String> {
        match made_room(self.left, self.held, held_by(family, on)?) {
            false => Ok(()),
            true => Err("other processes freed memory of the card while it was to be full; run the case again while \
                         nothing else uses the card"
                .to_owned()),
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
