//! The checksum at the end of an APR file: a CRC-32 of all bytes before it, computed while they are read.

use crate::contract::Phase;
use crate::loader::error::{LoadError, Result};
use crate::loader::read::digest::hex;
use crate::loader::remedies::index_and_seal::CRC_DIFFERS;

/// Bytes of the sum, the file's last.
const LENGTH: u64 = 4;

/// A CRC-32 under way.
#[derive(Clone, Debug)]
pub struct Tail {
    sum: crc32fast::Hasher,
    /// Bytes still to be summed.
    left: u64,
    told: Vec<u8>,
}

impl Tail {
    /// Behind a header that the sum has taken, with so many bytes to come, the sum itself among them.
    pub fn new(sum: crc32fast::Hasher, bytes: u64) -> Self {
        Tail { sum, left: bytes.saturating_sub(LENGTH), told: Vec::new() }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        let summed = self.left.min(bytes.len() as u64);
        let (summed, told) = bytes.split_at(summed as usize);
        self.sum.update(summed);
        self.left -= summed.len() as u64;
        self.told.extend_from_slice(told);
    }

    /// The file's last bytes are the sum of those before.
    ///
    /// # Errors
    /// `checksum_mismatch`.
    pub fn check(self) -> Result<()> {
        let (found, told) = (self.sum.finalize().to_le_bytes(), self.told);
        if told == found {
            return Ok(());
        }
        Err(LoadError::refused(Phase::Verify, CRC_DIFFERS, "the file's own CRC-32 differs")
            .expected(hex(&told), hex(&found)))
    }
}
