//! The contents of the file, read without loading it. Every arm is checked against them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::cli::CommandError;
use crate::loader::error::LoadError;
use crate::loader::format::safetensors;
use crate::loader::format::safetensors::{Header, TensorInfo};
use crate::loader::read::digest::hex;
use crate::loader::read::file::OpenFile;
use crate::loader::verbs::read_back;
use crate::loader::verbs::read_back::Entry;

/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// 2^61 - 1.
const PRIME: u128 = (1 << 61) - 1;

/// What a load must result in.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// Size of its tensors, in bytes.
    pub data_bytes: u64,
    /// Number of tensors.
    pub tensors: u64,
    /// Checksum over every byte, to compare with the files that peers write back.
    pub checksum: u64,
    /// SHA-256 of the file that the bundled loader writes if it is asked to write all tensors back.
    pub written: String,
}

impl Truth {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it cannot be read, or is no safetensors file.
    pub fn of(path: &Path) -> Result<Truth, CommandError> {
        let opened = Opened::at(path).map_err(CommandError::usage)?;
        let header = &opened.header;
        let entries: Vec<Entry<'_>> = header
            .tensors
            .iter()
            .map(|TensorInfo { name, dtype, shape, begin, end }| Entry {
                name,
                dtype: *dtype,
                shape,
                bytes: end - begin,
            })
            .collect();
        let head =
            read_back::header(&entries, header.metadata.as_ref()).map_err(CommandError::harness)?;
        let mut written = Sha256::new_with_prefix(head);
        let checksum =
            opened.checksum(|piece| written.update(piece)).map_err(CommandError::usage)?;
        Ok(Truth {
            bytes: opened.bytes,
            data_bytes: opened.data_bytes,
            tensors: header.tensors.len() as u64,
            checksum,
            written: hex(&written.finalize()),
        })
    }

    /// Checks that a file that a peer wrote back has the same tensors, in any order.
    ///
    /// # Errors
    /// How it differs.
    pub fn holds_of(&self, path: &Path) -> Result<(), String> {
        let opened = Opened::at(path).map_err(|error| format!("what it wrote back: {error}"))?;
        let found = opened.checksum(|_| ()).map_err(|error| error.to_string())?;
        if found == self.checksum && opened.data_bytes == self.data_bytes {
            return Ok(());
        }
        Err(format!(
            "checksum differs: {found} over what it wrote back, {} in the file",
            self.checksum
        ))
    }
}

/// A safetensors file whose header is read.
struct Opened {
    file: File,
    header: Header,
    bytes: u64,
    data_bytes: u64,
}

impl Opened {
    fn at(path: &Path) -> Result<Opened, String> {
        let say = |error: LoadError| error.to_string();
        let mut source = OpenFile::open(path).map_err(say)?;
        let text = safetensors::read_text(&mut source, &mut Sha256::new()).map_err(say)?;
        let header = safetensors::parse(&text).map_err(say)?;
        safetensors::layout::check(&header, source.left()).map_err(say)?;
        let (bytes, data_bytes) = (source.bytes(), source.left());
        let file = File::open(path).map_err(|error| error.to_string())?;
        Ok(Opened { file, header, bytes, data_bytes })
    }

    /// Checksum over every byte. `see` gets all bytes, in the order of the file.
    fn checksum(&self, mut see: impl FnMut(&[u8])) -> std::io::Result<u64> {
        let start = self.bytes - self.data_bytes;
        let mut sums = Vec::with_capacity(self.header.tensors.len());
        for tensor in &self.header.tensors {
            let sum = read(&self.file, start + tensor.begin, tensor.bytes(), &mut see)?;
            sums.push((tensor.name.as_str(), sum, tensor.bytes()));
        }
        Ok(join(sums))
    }
}

/// Passes a range to `see`, and returns the sum of its bytes.
fn read(
    file: &File,
    mut at: u64,
    mut left: u64,
    see: &mut impl FnMut(&[u8]),
) -> std::io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut sum = 0;
    while left > 0 {
        let part = &mut piece[..left.min(PIECE as u64) as usize];
        file.read_exact_at(part, at)?;
        see(part);
        sum += part.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        at += part.len() as u64;
        left -= part.len() as u64;
    }
    Ok(sum)
}

/// Joins (name, sum of bytes, number of bytes) in the order of the names.
fn join(mut sums: Vec<(&str, u64, u64)>) -> u64 {
    sums.sort_unstable();
    let joined = sums.into_iter().fold(0u128, |total, (_, sum, bytes)| {
        (total * 1_000_003 + u128::from(sum) + u128::from(bytes)) % PRIME
    });
    joined as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: "a" of bytes 1 and 2, "b" of bytes 3, 4 and 5, an empty "c".
    #[test]
    fn names_and_lengths_count() {
        let sums = vec![("b", 12, 3), ("c", 0, 0), ("a", 3, 2)];
        let first = 5u64;
        let second = first * 1_000_003 + 15;
        assert_eq!(join(sums), (second as u128 * 1_000_003 % PRIME) as u64);
        assert_ne!(join(vec![("a", 3, 2), ("b", 12, 3)]), join(vec![("a", 12, 3), ("b", 3, 2)]));
    }
}
