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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    #[test]
    fn the_sum_is_that_of_all_bytes_before_it_however_they_come() {
        let bytes = b"header and data";
        let sum = crc32fast::hash(bytes).to_le_bytes();
        let rest = [&bytes[6..], &sum].concat();
        for piece in [1, 4, 7, 100] {
            let mut begun = crc32fast::Hasher::new();
            begun.update(&bytes[..6]);
            let mut tail = Tail::new(begun.clone(), rest.len() as u64);
            rest.chunks(piece).for_each(|part| tail.take(part));
            assert_eq!(tail.check(), Ok(()), "pieces of {piece}");
            let mut changed = rest.clone();
            changed[0] ^= 1;
            let mut tail = Tail::new(begun, changed.len() as u64);
            changed.chunks(piece).for_each(|part| tail.take(part));
            let error = tail.check().expect_err("a changed byte");
            assert_eq!((error.code(), error.phase()), (Code::ChecksumMismatch, Phase::Verify));
            assert_eq!(error.failure().expected, Some(hex(&sum)));
        }
    }
}
