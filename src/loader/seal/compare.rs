//! Compares computed digests with the sealed ones.

use super::{Pieces, Seal, invalid};
use crate::loader::decisions::{LoadDecisions, Part};
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::open::files::File;
use crate::loader::progress::Progress;
use crate::loader::read::digest::hex;
use crate::loader::remedies::index_and_seal::SEALED_FILE_DIFFERS;

/// Number of a chunk's tensors that an error names at most.
const NAMED: usize = 4;

/// Compares a file's header and all chunk digests with the seal. If all match, returns the file's
/// sealed digest.
///
/// # Errors
/// `checksum_mismatch`; `invalid_seal` if the seal has no entry for the file.
pub fn compare(
    file: &File,
    seal: &Seal,
    chunks: &[[u8; 32]],
    decisions: &dyn LoadDecisions,
    progress: &Progress,
) -> Result<[u8; 32]> {
    let pieces = seal.file(file.source.path(), file.source.bytes())?;
    header(file, pieces, decisions)?;
    if !decisions.hashes() {
        return Ok(pieces.whole);
    }
    if chunks.len() != pieces.chunks.len() {
        return Err(LoadError::internal("not every chunk was hashed")
            .expected(pieces.chunks.len(), chunks.len()));
    }
    for (index, found) in (0..).zip(chunks) {
        chunk(file, seal, pieces, (index, found), decisions)?;
    }
    progress.verified(file.data_bytes());
    Ok(pieces.whole)
}

/// Compares a file's header.
///
/// # Errors
/// `checksum_mismatch`.
pub fn header(file: &File, pieces: &Pieces, decisions: &dyn LoadDecisions) -> Result<()> {
    if pieces.header_bytes != file.data.start {
        return Err(broken(file, "the header is not as long as the sealed one").expected(
            format!("{} bytes", pieces.header_bytes),
            format!("{} bytes", file.data.start),
        ));
    }
    if !decisions.sealed_matches(Part::Header, &pieces.header, &file.header_digest) {
        return Err(broken(file, "the header is not the sealed one")
            .expected(hex(&pieces.header), hex(&file.header_digest)));
    }
    Ok(())
}

/// Compares one chunk of a file's data.
///
/// # Errors
/// `checksum_mismatch`, which names file, chunk and the tensors in it.
pub fn chunk(
    file: &File,
    seal: &Seal,
    pieces: &Pieces,
    (index, found): (u64, &[u8; 32]),
    decisions: &dyn LoadDecisions,
) -> Result<()> {
    let sealed = pieces.chunks.get(index as usize);
    let sealed = sealed.ok_or_else(|| LoadError::internal("no such chunk in the seal"))?;
    if decisions.sealed_matches(Part::Chunk(index), sealed, found) {
        return Ok(());
    }
    let start = index * seal.chunk_bytes;
    let end = (start + seal.chunk_bytes).min(file.data_bytes());
    let touched: Vec<&str> = file
        .tensors
        .iter()
        .filter(|tensor| tensor.info.begin < end && tensor.info.end > start)
        .map(|tensor| tensor.info.name.as_str())
        .collect();
    let mut names: Vec<String> = touched.iter().take(NAMED).map(|name| quote(name)).collect();
    if touched.len() > NAMED {
        names.push(format!("{} more", touched.len() - NAMED));
    }
    let error = broken(
        file,
        format!(
            "chunk {index} is not the sealed one: bytes {} to {} of the file, in tensors {}",
            file.data.start + start,
            file.data.start + end,
            names.join(", ")
        ),
    );
    let error = error.expected(hex(sealed), hex(found));
    Err(match touched.first() {
        Some(first) => error.tensor(*first),
        None => error,
    })
}

fn broken(file: &File, message: impl Into<String>) -> LoadError {
    invalid(SEALED_FILE_DIFFERS, message).path(file.source.path())
}
