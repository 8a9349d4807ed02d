//! SHA-256 digests as text, and of whole files.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::contract::Phase;

use super::file::OpenFile;
use super::stream::{self, Hashing};
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::progress::Progress;
use crate::loader::remedies::index_and_seal::DIGEST_FORM;

/// Formats bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Parses a digest of a request. `field` is its name in messages.
///
/// # Errors
/// `invalid_request`.
pub fn parse(field: &str, text: &str) -> Result<[u8; 32]> {
    parse_hex(text.as_bytes()).ok_or_else(|| {
        LoadError::refused(Phase::Request, DIGEST_FORM, format!("{field} is not a SHA-256"))
            .expected("64 lower-case hex digits", quote(text))
    })
}

/// Hashes a whole file, with the same reader as a load.
///
/// # Errors
/// Those of opening and reading.
pub fn of_file(path: &Path) -> Result<[u8; 32]> {
    of_open(&OpenFile::open(path)?)
}

/// The same of a file that is open and was not read from.
///
/// # Errors
/// Those of reading.
pub fn of_open(source: &OpenFile) -> Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let (all, hashing) = (0..source.bytes(), Hashing::Whole(&mut hasher));
    stream::read_all(source, all, hashing, &Progress::default(), |_, _| Ok(()))?;
    source.unchanged()?;
    Ok(hasher.finalize().into())
}

/// Parses exactly 64 lower-case hex digits.
pub fn parse_hex(digits: &[u8]) -> Option<[u8; 32]> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let pairs: &[[u8; 2]; 32] = pairs.try_into().ok()?;
    let mut digest = [0; 32];
    // Avoid a branch for each digit, because a seal has megabytes of them. Check once at the end.
    let mut all = 0;
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        let (high, low) = (VALUES[*high as usize], VALUES[*low as usize]);
        all |= high | low;
        *byte = high << 4 | low & 0xf;
    }
    (all & NO_DIGIT == 0).then_some(digest)
}

const NO_DIGIT: u8 = 0x80;

/// The value of every byte as a lower-case hex digit.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes: [u8; 32]) {
            prop_assert_eq!(parse_hex(hex(&bytes).as_bytes()), Some(bytes));
        }
    }

    #[test]
    fn only_lower_case_digits_in_full_number_are_a_digest() {
        let good = "0123456789abcdef".repeat(4);
        assert!(parse_hex(good.as_bytes()).is_some());
        for wrong in
            [&good[1..], &good.to_uppercase(), &good.replace('0', "g"), &(good.clone() + "00"), ""]
        {
            assert_eq!(parse_hex(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(parse("x", "y").unwrap_err().code(), Code::InvalidRequest);
    }
}
