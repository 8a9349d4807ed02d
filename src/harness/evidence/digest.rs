//! The harness's own SHA-256.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::harness::hex::hex;

/// SHA-256 of these bytes, as 64 lower-case hex digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file's bytes, read once, in pieces of 1 MiB.
///
/// # Errors
/// If the file cannot be opened or read.
pub fn sha256_file(path: &Path) -> io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&piece[..read]),
        }
    }
}

/// A number that depends on all of `parts` and on nothing else; used as the seed of one file.
pub fn mix(parts: &[&[u8]]) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        // The lengths are hashed too, so that ("ab", "c") and ("a", "bc") differ.
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    u64::from_le_bytes(std::array::from_fn(|index| digest[index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_vector() {
        // FIPS 180-4, appendix: SHA-256 of "abc".
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_seed_depends_on_every_part_and_on_where_it_ends() {
        assert_eq!(mix(&[b"a", b"b"]), mix(&[b"a", b"b"]));
        assert_ne!(mix(&[b"ab", b"c"]), mix(&[b"a", b"bc"]));
    }
}
