//! The checksum at the end of an APR file: a CRC-32 of all bytes before it. It is computed while
//! the file is read.

use crate::contract::Phase;
use crate::loader::error::{LoadError, Result};
use crate::loader::read::digest::hex;
use crate::loader::remedies::index_and_seal::CRC_DIFFERS;

/// Size of the checksum, in bytes.
const LENGTH: u64 = 4;

/// A CRC-32 in progress.
#[derive(Clone, Debug)]
pub struct Tail {
    sum: crc32fast::Hasher,
    /// Bytes still to process.
    left: u64,
    told: Vec<u8>,
}

impl Tail {
    /// Continues after the header. `sum` has processed the header, and `bytes` bytes follow,
    /// including the checksum.
    pub fn new(sum: crc32fast::Hasher, bytes: u64) -> Self {
        Tail { sum, left: bytes.saturating_sub(LENGTH), told: Vec::new() }
    }

    /// Processes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        let summed = self.left.min(bytes.len() as u64);
        let (summed, told) = bytes.split_at(summed as usize);
        self.sum.update(summed);
        self.left -= summed.len() as u64;
        self.told.extend_from_slice(told);
    }

    /// Compares the file's last bytes with the computed checksum.
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
