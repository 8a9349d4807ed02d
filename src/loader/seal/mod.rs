//! Reads a seal: checks its pin and form, and finds the entry of one file.
//!
//! The seal's own digest must equal the pinned one before anything is parsed. Sizes, counts, names
//! and hex digits are checked against each other before they are used.

pub mod compare;
pub mod difference;
pub mod documents;
mod make;
pub mod signed;
#[cfg(test)]
mod tests;

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::contract::Phase;
use crate::contract::request;
use crate::contract::seal::{
    MAX_CHUNK, MIN_CHUNK, PREDICATE, Resource, STATEMENT, SealedFile, Statement, Subject, VERSION,
};

use super::decisions::{LoadDecisions, Part};
use super::error::{LoadError, Result, quote};
use super::host_memory::host_bytes;
use super::read::digest;
use super::read::digest::{hex, parse_hex};
use super::read::file::OpenFile;
use super::remedies::Remedy;
use crate::loader::remedies::index_and_seal::{
    PIN_DIFFERS, SEAL_BROKEN, SEAL_NOT_UTF8, SEAL_OF_OTHER_FILES, SEAL_TOO_LONG,
    SEALED_FILE_DIFFERS,
};

pub use self::make::{DEFAULT_CHUNK, Made, make};

/// Longest seal, in bytes. It is enough for a model of 64 GiB at the smallest chunk size, and for a
/// terabyte at the default chunk size.
pub const MAX_SEAL: u64 = 1 << 30;

/// First bytes of a seal that are searched for the chunk size. A resource takes about 150 of them.
const SHOWN: u64 = 1 << 20;

/// A validated seal.
#[derive(Debug)]
pub struct Seal {
    /// Size of a chunk, in bytes.
    pub chunk_bytes: u64,
    files: Vec<Pieces>,
    /// Name and SHA-256 of every file, in ascending order of the names.
    resources: Vec<(String, [u8; 32])>,
}

/// The sealed sizes and digests of one file.
#[derive(Debug)]
pub struct Pieces {
    name: String,
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// Size of everything before the tensor data, in bytes.
    pub header_bytes: u64,
    /// SHA-256 of the whole file.
    pub whole: [u8; 32],
    /// SHA-256 of everything before the tensor data.
    pub header: [u8; 32],
    /// SHA-256 of each chunk of the tensor data.
    pub chunks: Vec<[u8; 32]>,
}

impl Seal {
    /// A seal of no file.
    #[cfg(test)]
    pub fn of_nothing(chunk_bytes: u64) -> Seal {
        Seal { chunk_bytes, files: Vec::new(), resources: Vec::new() }
    }

    /// Reads a seal, compares it with its pin and validates its content.
    ///
    /// # Errors
    /// Errors of opening and reading, `checksum_mismatch` against the pin, `invalid_seal`. Each
    /// error names the seal's path.
    pub fn read(asked: &request::Seal, decisions: &dyn LoadDecisions) -> Result<Seal> {
        Seal::read_telling(asked, decisions, drop)
    }

    /// The same. Before anything is compared or parsed, `tell` gets the chunk size that the seal's first bytes
    /// show, if they do. It may be wrong.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_telling(
        asked: &request::Seal,
        decisions: &dyn LoadDecisions,
        tell: impl FnOnce(u64),
    ) -> Result<Seal> {
        let pin = digest::parse("seal.sha256", &asked.sha256)?;
        let read = Seal::read_pinned(&asked.path, &pin, decisions, tell);
        read.map_err(|error| error.path(&asked.path))
    }

    fn read_pinned(
        path: &Path,
        pin: &[u8; 32],
        decisions: &dyn LoadDecisions,
        tell: impl FnOnce(u64),
    ) -> Result<Seal> {
        let mut source = OpenFile::open(path)?;
        if source.bytes() > MAX_SEAL {
            return Err(invalid(SEAL_TOO_LONG, "too long for a seal")
                .expected(format!("at most {MAX_SEAL} bytes"), source.bytes()));
        }
        // Whoever waits for the chunk size does not wait for the rest, which may be 100 MB.
        let mut first = host_bytes(source.bytes().min(SHOWN))?;
        source.read(&mut first)?;
        if let Some(bytes) = shown_chunk_bytes(&first) {
            tell(bytes);
        }
        let mut text = host_bytes(source.bytes())?;
        let (beginning, rest) = text.split_at_mut(first.len());
        beginning.copy_from_slice(&first);
        source.read(rest)?;
        let found: [u8; 32] = Sha256::digest(&text).into();
        if !decisions.sealed_matches(Part::Seal, pin, &found) {
            return Err(invalid(PIN_DIFFERS, "the seal is not the pinned one")
                .expected(hex(pin), hex(&found)));
        }
        Seal::parse(&text)
    }

    /// Parses and validates a seal's text.
    ///
    /// # Errors
    /// `invalid_seal`.
    pub fn parse(text: &[u8]) -> Result<Seal> {
        // Check the whole text: the parser skips unknown members and would accept invalid bytes in
        // them.
        let text = std::str::from_utf8(text).map_err(|error| {
            invalid(SEAL_NOT_UTF8, "not UTF-8").expected("UTF-8 throughout", error)
        })?;
        let statement: Statement = serde_json::from_str(text).map_err(|error| {
            invalid(SEAL_BROKEN, "not in a seal's form").expected("the members of a seal", error)
        })?;
        check_frame(&statement)?;
        let resources = &statement.predicate.resources;
        let digests = check_resources(&statement.subject, resources, SEAL_BROKEN)?;
        if let Some(pair) = resources.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            return Err(invalid(SEAL_BROKEN, "resources out of order, or one of them twice")
                .expected("ascending names", quote(&pair[1].name)));
        }
        let pieces = statement.predicate.weighbridge;
        let chunk_bytes = pieces.chunk_bytes;
        if !is_chunk_size(chunk_bytes) {
            return Err(invalid(SEAL_BROKEN, "chunk size not allowed")
                .expected(format!("a power of two from {MIN_CHUNK} to {MAX_CHUNK}"), chunk_bytes));
        }
        let files: Vec<Pieces> = pieces
            .files
            .iter()
            .map(|file| Pieces::read(file, resources, chunk_bytes))
            .collect::<Result<_>>()?;
        if let Some(pair) = files.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            return Err(invalid(SEAL_BROKEN, "files out of order, or one of them twice")
                .expected("ascending names", quote(&pair[1].name)));
        }
        let names = resources.iter().map(|resource| resource.name.clone());
        Ok(Seal { chunk_bytes, files, resources: names.zip(digests).collect() })
    }

    /// Name and SHA-256 of every sealed file.
    pub fn resources(&self) -> &[(String, [u8; 32])] {
        &self.resources
    }

    /// Returns the sealed entry of the file at `path`, which has `bytes` bytes.
    ///
    /// # Errors
    /// `invalid_seal` if the seal has no entry for the file, `checksum_mismatch` if its size
    /// differs.
    pub fn file(&self, path: &Path, bytes: u64) -> Result<&Pieces> {
        // If several names match, such as `a.safetensors` and `x/a.safetensors`, use the longest.
        let named = self.files.iter().filter(|file| path.ends_with(&file.name));
        let Some(file) = named.max_by_key(|file| file.name.len()) else {
            let names: Vec<String> = self.files.iter().map(|file| quote(&file.name)).collect();
            let asked = path.file_name().unwrap_or_default().to_string_lossy();
            return Err(invalid(SEAL_OF_OTHER_FILES, "the seal does not name this file")
                .expected(format!("one of {}", names.join(", ")), quote(&asked)));
        };
        if file.bytes != bytes {
            return Err(invalid(SEALED_FILE_DIFFERS, "the file is not as long as the sealed one")
                .expected(format!("{} bytes", file.bytes), format!("{bytes} bytes")));
        }
        Ok(file)
    }
}

impl Pieces {
    fn read(file: &SealedFile, resources: &[Resource], chunk_bytes: u64) -> Result<Pieces> {
        let name = quote(&file.name);
        let Some(resource) = resources.iter().find(|resource| resource.name == file.name) else {
            return Err(invalid(SEAL_BROKEN, "a file that is not among the resources")
                .expected("a resource's name", name));
        };
        let data = file.bytes.checked_sub(file.header_bytes).ok_or_else(|| {
            invalid(SEAL_BROKEN, format!("file {name}: header longer than the file"))
                .expected(format!("at most {}", file.bytes), file.header_bytes)
        })?;
        let wanted = data.div_ceil(chunk_bytes);
        let digits = file.chunks.len() as u64;
        if wanted.checked_mul(64) != Some(digits) {
            return Err(invalid(
                SEAL_BROKEN,
                format!("file {name}: chunk digests do not fit its size"),
            )
            .expected(format!("64 digits for each of {wanted} chunks"), digits));
        }
        let digest = |text: &str| {
            parse_hex(text.as_bytes()).ok_or_else(|| {
                invalid(SEAL_BROKEN, format!("file {name}: not a SHA-256"))
                    .expected("64 lower-case hex digits", quote(text))
            })
        };
        let (chunks, _) = file.chunks.as_bytes().as_chunks::<64>();
        let chunks: Option<Vec<[u8; 32]>> = chunks.iter().map(|digits| parse_hex(digits)).collect();
        Ok(Pieces {
            bytes: file.bytes,
            header_bytes: file.header_bytes,
            whole: digest(&resource.digest)?,
            header: digest(&file.header)?,
            chunks: chunks.ok_or_else(|| {
                invalid(SEAL_BROKEN, format!("file {name}: a chunk digest is not hex digits"))
                    .expected("lower-case hex digits", "others")
            })?,
            name: file.name.clone(),
        })
    }
}

fn is_chunk_size(bytes: u64) -> bool {
    bytes.is_power_of_two() && (MIN_CHUNK..=MAX_CHUNK).contains(&bytes)
}

/// The chunk size that the first bytes of a seal show, whether or not it is valid.
fn shown_chunk_bytes(text: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"\"chunk_bytes\":";
    let at = text.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    let rest = text[at..].trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // A number that ends where the text ends may be cut.
    rest.get(digits)?;
    let number: u64 = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    is_chunk_size(number).then_some(number)
}

/// Checks the constant fields of a seal.
fn check_frame(statement: &Statement) -> Result<()> {
    let serialization = &statement.predicate.serialization;
    let pieces = &statement.predicate.weighbridge;
    for (what, wanted, found) in [
        ("_type", STATEMENT, &statement.kind),
        ("predicateType", PREDICATE, &statement.predicate_type),
        ("serialization.method", "files", &serialization.method),
        ("serialization.hash_type", "sha256", &serialization.hash_type),
        ("weighbridge.version", &VERSION.to_string(), &pieces.version.to_string()),
    ] {
        if wanted != found {
            return Err(invalid(SEAL_BROKEN, format!("{what} is not the one of a seal"))
                .expected(wanted, quote(found)));
        }
    }
    Ok(())
}

/// Checks the resources, and the subject's digest over their digests; returns these.
/// A fault is of this cause.
fn check_resources(
    subjects: &[Subject],
    resources: &[Resource],
    cause: Remedy,
) -> Result<Vec<[u8; 32]>> {
    let [subject] = subjects else {
        return Err(invalid(cause, "not one subject").expected(1, subjects.len()));
    };
    let mut digests = Vec::with_capacity(resources.len());
    for resource in resources {
        let digest =
            parse_hex(resource.digest.as_bytes()).filter(|_| resource.algorithm == "sha256");
        let Some(digest) = digest else {
            return Err(invalid(cause, format!("resource {}: no SHA-256", quote(&resource.name)))
                .expected("sha256 and 64 lower-case hex digits", quote(&resource.digest)));
        };
        let plain = |part: &str| !matches!(part, "" | "." | "..");
        // The signature of a file alone names the file `.`.
        let alone = resource.name == "." && resources.len() == 1;
        if !alone && !resource.name.split('/').all(plain) {
            return Err(invalid(cause, "a name that is not a plain relative path")
                .expected("a relative path without `.` and `..`", quote(&resource.name)));
        }
        digests.push(digest);
    }
    let root = hex(&Sha256::digest(digests.as_flattened()));
    if subject.digest.sha256 != root {
        return Err(invalid(cause, "the subject's digest is not that of its resources")
            .expected(root, quote(&subject.digest.sha256)));
    }
    Ok(digests)
}

/// Creates an error about a seal.
pub fn invalid(cause: Remedy, message: impl Into<String>) -> LoadError {
    LoadError::refused(Phase::Verify, cause, message)
}
