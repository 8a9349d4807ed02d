//! Reading a seal: its pin, its form, and what it says of one file.
//!
//! Nothing here trusts the seal before its own digest is the pinned one, and nothing a seal says is
//! used before it is checked against itself: sizes, counts, names and digits.

pub mod compare;
mod make;
#[cfg(test)]
mod tests;

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::contract::request;
use crate::contract::seal::{
    MAX_CHUNK, MIN_CHUNK, PREDICATE, Resource, STATEMENT, SealedFile, Statement, VERSION,
};
use crate::contract::{Code, Phase};

use super::decisions::{LoadDecisions, Part};
use super::error::{LoadError, Result, quote};
use super::host_memory::host_bytes;
use super::read::digest;
use super::read::digest::{hex, parse_hex};
use super::read::file::OpenFile;

pub use self::make::{DEFAULT_CHUNK, Made, make};

/// Longest seal, in bytes: at the smallest chunk, enough for a model of 64 GiB; at the default one,
/// of a terabyte.
pub const MAX_SEAL: u64 = 1 << 30;

/// A seal that agrees with itself.
#[derive(Debug)]
pub struct Seal {
    /// Size of a chunk, in bytes.
    pub chunk_bytes: u64,
    files: Vec<Pieces>,
}

/// What is sealed of one file.
#[derive(Debug)]
pub struct Pieces {
    name: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// How many of them come before the data.
    pub header_bytes: u64,
    /// Digest of the whole file.
    pub whole: [u8; 32],
    /// Digest of what comes before the data.
    pub header: [u8; 32],
    /// Digests of the data's chunks.
    pub chunks: Vec<[u8; 32]>,
}

impl Seal {
    /// Reads a seal and checks it against its pin and itself.
    ///
    /// # Errors
    /// Those of opening and reading, `checksum_mismatch` against the pin, `invalid_seal`; each names
    /// the seal's path.
    pub fn read(asked: &request::Seal, decisions: &dyn LoadDecisions) -> Result<Seal> {
        let pin = digest::parse("seal.sha256", &asked.sha256)?;
        Seal::read_pinned(&asked.path, &pin, decisions).map_err(|error| error.path(&asked.path))
    }

    fn read_pinned(path: &Path, pin: &[u8; 32], decisions: &dyn LoadDecisions) -> Result<Seal> {
        let mut source = OpenFile::open(path)?;
        if source.bytes() > MAX_SEAL {
            return Err(invalid("too long for a seal")
                .expected(format!("at most {MAX_SEAL} bytes"), source.bytes()));
        }
        let mut text = host_bytes(source.bytes())?;
        source.read(&mut text)?;
        let found: [u8; 32] = Sha256::digest(&text).into();
        if !decisions.sealed_matches(Part::Seal, pin, &found) {
            return Err(mismatch("the seal is not the pinned one")
                .expected(hex(pin), hex(&found))
                .remedy(
                    "fetch the seal again, or pin the digest that `weighbridge seal` printed",
                ));
        }
        Seal::parse(&text)
    }

    /// Reads a seal's text.
    ///
    /// # Errors
    /// `invalid_seal`.
    pub fn parse(text: &[u8]) -> Result<Seal> {
        // All of it: members that are not read would otherwise pass for JSON whatever they hold.
        let text = std::str::from_utf8(text)
            .map_err(|error| invalid("not UTF-8").expected("UTF-8 throughout", error))?;
        let statement: Statement = serde_json::from_str(text).map_err(|error| {
            invalid("not in a seal's form").expected("the members of a seal", error)
        })?;
        check_frame(&statement)?;
        let resources = &statement.predicate.resources;
        check_resources(&statement, resources)?;
        let pieces = statement.predicate.weighbridge;
        let chunk_bytes = pieces.chunk_bytes;
        if !chunk_bytes.is_power_of_two() || !(MIN_CHUNK..=MAX_CHUNK).contains(&chunk_bytes) {
            return Err(invalid("chunk size not allowed")
                .expected(format!("a power of two from {MIN_CHUNK} to {MAX_CHUNK}"), chunk_bytes));
        }
        let files: Vec<Pieces> = pieces
            .files
            .iter()
            .map(|file| Pieces::read(file, resources, chunk_bytes))
            .collect::<Result<_>>()?;
        if let Some(pair) = files.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            return Err(invalid("files out of order, or one of them twice")
                .expected("ascending names", quote(&pair[1].name)));
        }
        Ok(Seal { chunk_bytes, files })
    }

    /// What is sealed of the file at `path`.
    ///
    /// # Errors
    /// `invalid_seal` where it does not speak of that file, `checksum_mismatch` where the size is
    /// another one already.
    pub fn file(&self, path: &Path, bytes: u64) -> Result<&Pieces> {
        // Of nested names, such as `a.safetensors` and `x/a.safetensors`, the longest decides.
        let named = self.files.iter().filter(|file| path.ends_with(&file.name));
        let Some(file) = named.max_by_key(|file| file.name.len()) else {
            let names: Vec<String> = self.files.iter().map(|file| quote(&file.name)).collect();
            let asked = path.file_name().unwrap_or_default().to_string_lossy();
            return Err(invalid("the seal does not speak of this file")
                .expected(format!("one of {}", names.join(", ")), quote(&asked)));
        };
        if file.bytes != bytes {
            return Err(mismatch("the file is not as long as the sealed one")
                .expected(format!("{} bytes", file.bytes), format!("{bytes} bytes"))
                .remedy("download the file again"));
        }
        Ok(file)
    }
}

impl Pieces {
    fn read(file: &SealedFile, resources: &[Resource], chunk_bytes: u64) -> Result<Pieces> {
        let name = quote(&file.name);
        let Some(resource) = resources.iter().find(|resource| resource.name == file.name) else {
            return Err(invalid("a file that is no resource").expected("a resource's name", name));
        };
        let data = file.bytes.checked_sub(file.header_bytes).ok_or_else(|| {
            invalid(format!("file {name}: header longer than the file"))
                .expected(format!("at most {}", file.bytes), file.header_bytes)
        })?;
        let wanted = data.div_ceil(chunk_bytes);
        let digits = file.chunks.len() as u64;
        if wanted.checked_mul(64) != Some(digits) {
            return Err(invalid(format!("file {name}: chunk digests do not fit its size"))
                .expected(format!("64 digits for each of {wanted} chunks"), digits));
        }
        let digest = |text: &str| {
            parse_hex(text.as_bytes()).ok_or_else(|| {
                invalid(format!("file {name}: no SHA-256"))
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
                invalid(format!("file {name}: a chunk digest is none"))
                    .expected("lower-case hex digits", "others")
            })?,
            name: file.name.clone(),
        })
    }
}

/// The parts that every seal has alike.
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
            return Err(invalid(format!("{what} is another one")).expected(wanted, quote(found)));
        }
    }
    Ok(())
}

/// The resources, and the subject's digest over theirs.
fn check_resources(statement: &Statement, resources: &[Resource]) -> Result<()> {
    let [subject] = statement.subject.as_slice() else {
        return Err(invalid("not one subject").expected(1, statement.subject.len()));
    };
    let mut root = Sha256::new();
    for resource in resources {
        let digest =
            parse_hex(resource.digest.as_bytes()).filter(|_| resource.algorithm == "sha256");
        let Some(digest) = digest else {
            return Err(invalid(format!("resource {}: no SHA-256", quote(&resource.name)))
                .expected("sha256 and 64 lower-case hex digits", quote(&resource.digest)));
        };
        let plain = |part: &str| !matches!(part, "" | "." | "..");
        if !resource.name.split('/').all(plain) {
            return Err(invalid("a name that leads elsewhere")
                .expected("a relative path without `.` and `..`", quote(&resource.name)));
        }
        root.update(digest);
    }
    if let Some(pair) = resources.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        return Err(invalid("resources out of order, or one of them twice")
            .expected("ascending names", quote(&pair[1].name)));
    }
    let root = hex(&root.finalize());
    if subject.digest.sha256 != root {
        return Err(invalid("the subject's digest is not that of its resources")
            .expected(root, quote(&subject.digest.sha256)));
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> LoadError {
    LoadError::refused(Phase::Verify, Code::InvalidSeal, message)
        .remedy("make the seal again with `weighbridge seal`, and pin the new digest")
}

/// Bytes that are not the sealed ones.
pub fn mismatch(message: impl Into<String>) -> LoadError {
    LoadError::refused(Phase::Verify, Code::ChecksumMismatch, message)
}
