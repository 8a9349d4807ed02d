//! Reads the header of a GGUF or APR file piece by piece, never past the file's end or a limit.
//! Hashes every byte that it reads.

use sha2::{Digest, Sha256};

use crate::loader::error::{LoadError, Result};
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::formats::HEADER_ABOVE_LIMIT;
use crate::loader::remedies::header::{HEADER_CUT, HEADER_NOT_UTF8, INVALID_FIELD};

/// Longest header, in bytes: several times the size of the largest vocabularies in use.
pub const MAX_HEADER: u64 = 64 << 20;

/// Bytes read at once. Bytes beyond the header are read again as data, and hashed only then.
const CHUNK: u64 = 1 << 18;

/// A reader of everything before a file's data.
pub struct Front<'s> {
    source: &'s mut OpenFile,
    hasher: &'s mut Sha256,
    ahead: Vec<u8>,
    at: usize,
    taken: u64,
    sum: crc32fast::Hasher,
}

impl<'s> Front<'s> {
    /// Creates a reader at the first byte.
    pub fn new(source: &'s mut OpenFile, hasher: &'s mut Sha256) -> Self {
        Front { source, hasher, ahead: Vec::new(), at: 0, taken: 0, sum: crc32fast::Hasher::new() }
    }

    /// First bytes of the file.
    pub fn head(&self) -> &[u8] {
        self.source.head()
    }

    /// Size of the file, in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.source.bytes()
    }

    /// Bytes taken so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Bytes of the file after those.
    pub fn left(&self) -> u64 {
        self.source.bytes() - self.taken
    }

    /// CRC-32 state over the bytes taken so far, to be continued.
    pub fn sum(&self) -> crc32fast::Hasher {
        self.sum.clone()
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `header_truncated` past the file's end, `header_too_large` past the limit; those of reading.
    pub fn take(&mut self, count: u64) -> Result<&[u8]> {
        if count > self.left() {
            return Err(LoadError::header(HEADER_CUT, "file ends inside its header").expected(
                format!("{count} bytes from byte {} on", self.taken),
                format!("{} bytes", self.left()),
            ));
        }
        if self.taken.saturating_add(count) > MAX_HEADER {
            return Err(LoadError::header(HEADER_ABOVE_LIMIT, "header implausibly long").expected(
                format!("at most {MAX_HEADER} bytes"),
                format!("more than {} bytes", self.taken),
            ));
        }
        let wanted = count as usize;
        if self.ahead.len() - self.at < wanted {
            self.fill(wanted)?;
        }
        let (from, to) = (self.at, self.at + wanted);
        let bytes = self.ahead.get(from..to);
        let bytes = bytes.ok_or_else(|| LoadError::internal("a header's bytes were not read"))?;
        self.hasher.update(bytes);
        self.sum.update(bytes);
        self.at = to;
        self.taken += count;
        Ok(bytes)
    }

    fn fill(&mut self, wanted: usize) -> Result<()> {
        self.ahead.drain(..self.at);
        self.at = 0;
        let have = self.ahead.len();
        let more = (wanted - have).max(CHUNK as usize).min(self.source.left() as usize);
        self.ahead.resize(have + more, 0);
        self.source.read(&mut self.ahead[have..])
    }

    /// Takes the next `N` bytes.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    /// Takes four bytes as a little-endian number.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Takes eight bytes as a little-endian number.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Checks a count of items of at least `least` bytes each: they must fit in the rest of the
    /// file.
    ///
    /// # Errors
    /// `header_truncated` for more than fit, `header_too_large` for more than `most`.
    pub fn count(&self, count: u64, least: u64, most: u64, of: &str) -> Result<u64> {
        let room = self.left() / least;
        if count > room {
            return Err(LoadError::header(HEADER_CUT, format!("file too short for its {of}"))
                .expected(format!("at most {room} {of}"), count));
        }
        if count > most {
            return Err(LoadError::header(HEADER_ABOVE_LIMIT, format!("implausibly many {of}"))
                .expected(format!("at most {most} {of}"), count));
        }
        Ok(count)
    }

    /// Takes a text: its length in eight bytes, then that many bytes of UTF-8.
    ///
    /// # Errors
    /// As for [`take`](Self::take); `header_not_utf8`; `invalid_field` if the text is longer than
    /// `longest`.
    pub fn text(&mut self, longest: u64, what: &str) -> Result<String> {
        let length = self.u64()?;
        if length > longest && length <= self.left() {
            return Err(LoadError::header(INVALID_FIELD, format!("{what} too long"))
                .expected(format!("at most {longest} bytes"), format!("{length} bytes")));
        }
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|error| {
            LoadError::header(HEADER_NOT_UTF8, format!("{what} is not UTF-8"))
                .expected("UTF-8", format!("an invalid sequence at byte {}", error.valid_up_to()))
        })?;
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    /// What a reader says of a file of this length, whose bytes are zeros.
    fn of_zeros(bytes: u64, read: impl FnOnce(&mut Front<'_>) -> Result<()>) -> LoadError {
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(bytes).expect("long");
        let mut source = OpenFile::open(file.path()).expect("opens");
        let mut hasher = Sha256::new();
        read(&mut Front::new(&mut source, &mut hasher)).expect_err("beyond a limit")
    }

    fn told(error: &LoadError) -> (Code, &str, &str) {
        let failure = error.failure();
        let (expected, actual) = (failure.expected.as_deref(), failure.actual.as_deref());
        (failure.code, expected.unwrap_or_default(), actual.unwrap_or_default())
    }

    #[test]
    fn nothing_is_read_past_the_end_or_the_limit() {
        let error = of_zeros(10, |front| {
            front.take(4)?;
            front.u64().map(drop)
        });
        let wanted = (Code::HeaderTruncated, "8 bytes from byte 4 on", "6 bytes");
        assert_eq!(told(&error), wanted);
        let error = of_zeros(MAX_HEADER + 100, |front| {
            front.take(7)?;
            front.take(MAX_HEADER - 6).map(drop)
        });
        let wanted = (Code::HeaderTooLarge, "at most 67108864 bytes", "more than 7 bytes");
        assert_eq!(told(&error), wanted);
        // The length of a text is zero here, and the text after it is cut.
        let error = of_zeros(20, |front| {
            assert_eq!(front.text(1, "a text")?, "");
            front.take(13).map(drop)
        });
        assert_eq!(told(&error), (Code::HeaderTruncated, "13 bytes from byte 8 on", "12 bytes"));
    }

    #[test]
    fn what_was_taken_is_hashed_and_summed_once() {
        let bytes: Vec<u8> = (0..600_000u32).map(|at| (at % 251) as u8).collect();
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &bytes).expect("written");
        let mut source = OpenFile::open(file.path()).expect("opens");
        let mut hasher = Sha256::new();
        let mut front = Front::new(&mut source, &mut hasher);
        let mut taken = Vec::new();
        for count in [3, 8, 300_000, 0, 270_000, 5] {
            taken.extend_from_slice(front.take(count).expect("there"));
        }
        assert!(taken == bytes[..570_016], "in order, across the pieces that are read");
        assert_eq!((front.taken(), front.left()), (570_016, 29_984));
        assert_eq!(front.sum().finalize(), crc32fast::hash(&taken));
        assert_eq!(hasher.finalize(), Sha256::digest(&taken));
    }
}
