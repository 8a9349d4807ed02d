//! Makes a seal. Each file is read once, and hashed as a whole and in chunks in the same pass.

use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};

use crate::contract::Phase;
use crate::contract::seal::{
    PREDICATE, Pieces, Predicate, Resource, STATEMENT, SealedFile, Serialization, Statement,
    Subject, SubjectDigest, VERSION,
};

use crate::loader::error::{LoadError, Result, quote};
use crate::loader::format::safetensors;
use crate::loader::progress::Progress;
use crate::loader::read::digest::hex;
use crate::loader::read::file::{OpenFile, refused_by_system};
use crate::loader::read::stream;
use crate::loader::read::stream::Hashing;
use crate::loader::remedies::index_and_seal::SEAL_NO_WEIGHTS;

/// Default size of a chunk, in bytes. A GPU thread hashes one chunk. Shorter chunks shorten the
/// wait for the last one; longer chunks make the seal shorter. At this size an H200 needs 1.2 ms
/// for the last chunk, and a seal has 0.2 % of the model's size.
pub const DEFAULT_CHUNK: u64 = 32 << 10;

/// How the names of weight files end.
const WEIGHTS: &str = ".safetensors";

/// A new seal.
#[derive(Debug)]
pub struct Made {
    /// The seal's statement.
    pub statement: Statement,
    /// The text of the seal file.
    pub text: Vec<u8>,
    /// SHA-256 of the text: the pin.
    pub sha256: String,
}

/// Seals a file, or all files of a folder except `except` and hidden files. Several files are read
/// in parallel.
///
/// # Errors
/// Errors of opening and reading, errors of a safetensors header; `not_found` for a file of another name,
/// and for a folder without a safetensors file.
pub fn make(model: &Path, chunk_bytes: u64, except: &Path, progress: &Progress) -> Result<Made> {
    let files = list(model, except)?;
    let total = files.iter().map(|(_, path)| std::fs::metadata(path).map_or(0, |m| m.len())).sum();
    progress.begin(total);
    let lanes = thread::available_parallelism().map_or(1, usize::from).min(files.len());
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut sealed: Vec<(usize, Result<Sealed>)> = thread::scope(|scope| {
        let lane = || {
            let mut mine = Vec::new();
            loop {
                let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some((name, path)) = files.get(at) else { return mine };
                mine.push((at, seal_file(name, path, chunk_bytes, progress)));
            }
        };
        let others: Vec<_> = (1..lanes)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, lane).ok())
            .collect();
        let mut all = lane();
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    sealed.sort_by_key(|(at, _)| *at);
    let sealed: Vec<Sealed> = sealed.into_iter().map(|(_, one)| one).collect::<Result<_>>()?;
    write(model, chunk_bytes, sealed)
}

/// A file's part of a seal.
struct Sealed {
    resource: Resource,
    pieces: Option<SealedFile>,
}

/// Lists names and paths of the files to seal, sorted by name.
pub(super) fn list(model: &Path, except: &Path) -> Result<Vec<(String, PathBuf)>> {
    if !model.is_dir() {
        let name = model.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(WEIGHTS) {
            return Err(LoadError::refused(Phase::Open, SEAL_NO_WEIGHTS, "no safetensors file")
                .expected("a file that ends in .safetensors, or a folder", quote(&name))
                .path(model));
        }
        return Ok(vec![(name, model.to_path_buf())]);
    }
    let unreadable = |error: std::io::Error| {
        refused_by_system("cannot list the folder", "a readable folder", &error).path(model)
    };
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), model.to_path_buf())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if name.starts_with('.') || path == except {
                continue;
            }
            let name = format!("{prefix}{name}");
            // Do not follow a link to a folder: it may lead back here.
            if entry.file_type().map_err(unreadable)?.is_dir() {
                folders.push((format!("{name}/"), path));
            } else if path.is_file() {
                files.push((name, path));
            }
        }
    }
    files.sort();
    if !files.iter().any(|(name, _)| name.ends_with(WEIGHTS)) {
        return Err(LoadError::refused(Phase::Open, SEAL_NO_WEIGHTS, "no safetensors file in it")
            .expected("a file that ends in .safetensors", format!("{} other files", files.len()))
            .path(model));
    }
    Ok(files)
}

fn seal_file(name: &str, path: &Path, chunk_bytes: u64, progress: &Progress) -> Result<Sealed> {
    seal_source(name, path, chunk_bytes, progress).map_err(|error| error.path(path))
}

fn seal_source(name: &str, path: &Path, chunk_bytes: u64, progress: &Progress) -> Result<Sealed> {
    let mut source = OpenFile::open(path)?;
    let mut whole = Sha256::new();
    let mut pieces = None;
    if name.ends_with(WEIGHTS) {
        let text = safetensors::read_text(&mut source, &mut whole)?;
        let parsed = safetensors::parse(&text)?;
        let start = source.bytes() - source.left();
        safetensors::layout::check(&parsed, source.left())?;
        pieces = Some((start, hex(&whole.clone().finalize())));
    }
    let start = source.bytes() - source.left();
    progress.read(start);
    let mut digests = Vec::new();
    let hashing = Hashing::Both { whole: &mut whole, chunk_bytes, digests: &mut digests };
    stream::read_all(&source, start..source.bytes(), hashing, progress, |_, _| Ok(()))?;
    source.unchanged()?;
    Ok(Sealed {
        resource: Resource {
            name: name.to_owned(),
            algorithm: "sha256".to_owned(),
            digest: hex(&whole.finalize()),
        },
        pieces: pieces.map(|(header_bytes, header)| SealedFile {
            name: name.to_owned(),
            bytes: source.bytes(),
            header_bytes,
            header,
            chunks: digests.iter().map(|digest| hex(digest)).collect(),
        }),
    })
}

fn write(model: &Path, chunk_bytes: u64, sealed: Vec<Sealed>) -> Result<Made> {
    let name = model.file_name().unwrap_or(model.as_os_str()).to_string_lossy().into_owned();
    let mut root = Sha256::new();
    let (mut resources, mut files) = (Vec::new(), Vec::new());
    for Sealed { resource, pieces } in sealed {
        let digest = crate::loader::read::digest::parse_hex(resource.digest.as_bytes());
        root.update(digest.ok_or_else(|| LoadError::internal(quote(&resource.digest)))?);
        resources.push(resource);
        files.extend(pieces);
    }
    let statement = Statement {
        kind: STATEMENT.to_owned(),
        subject: vec![Subject { name, digest: SubjectDigest { sha256: hex(&root.finalize()) } }],
        predicate_type: PREDICATE.to_owned(),
        predicate: Predicate {
            serialization: Serialization {
                method: "files".to_owned(),
                hash_type: "sha256".to_owned(),
                allow_symlinks: true,
                ignore_paths: Vec::new(),
            },
            resources,
            weighbridge: Pieces {
                version: VERSION,
                tool: concat!("weighbridge ", env!("CARGO_PKG_VERSION")).to_owned(),
                chunk_bytes,
                files,
            },
        },
    };
    let mut text = serde_json::to_vec(&statement)
        .map_err(|error| LoadError::internal(format!("seal not written as JSON: {error}")))?;
    text.push(b'\n');
    let sha256 = hex(&Sha256::digest(&text));
    Ok(Made { statement, text, sha256 })
}
