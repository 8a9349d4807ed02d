//! Reads the part of a GGUF file (versions 2 and 3, little-endian) before its data.
//!
//! The file has magic, version, two counts, metadata (key, type, value), a table of tensors (name,
//! sides, type, offset), and the data at the next multiple of the alignment. The table lists the
//! sides of a tensor from the innermost to the outermost. In reverse order they are the row-major
//! shape of the same bytes. A model may be split: the first file has the metadata, and each file has
//! tensors.

mod config;
mod entry;
mod keys;
mod metadata;
mod names;
mod parts;
mod value;
mod vocabulary;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use crate::loader::error::{LoadError, Result, quote};
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::formats::GGUF_VERSION;
use crate::loader::remedies::header::{KEY_TWICE, TOO_SHORT};

use super::front::Front;
use super::{
    EmbeddedDocuments, ImportedFile, ImportedModel, ImportedTensor, Source, another, layout,
};

use self::config::Family;
use self::entry::Entry;
use self::metadata::Metadata;
use self::parts::Parts;

/// First bytes of a file.
const MAGIC: &[u8] = b"GGUF";

/// Most tensors of a file.
const MOST_TENSORS: u64 = 1 << 17;

/// Default alignment of tensors, in bytes.
const ALIGNMENT: u64 = 32;

/// One file, up to its data.
struct Part {
    metadata: Metadata,
    alignment: u64,
    entries: Vec<Entry>,
    data: Range<u64>,
}

/// Reads a model's files up to their data. `sources` holds the first file; those that it names are
/// opened with `open` and added.
///
/// # Errors
/// As for [`read`](super::read).
pub fn read(
    sources: &mut Vec<Source>,
    open: &dyn Fn(&Path) -> Result<OpenFile>,
) -> Result<ImportedModel> {
    let first = sources.first_mut();
    let first = first.ok_or_else(|| LoadError::internal("a model without a file"))?;
    let path = first.file.path().to_owned();
    let mut all = vec![Part::read(first)?];
    if let Some(parts) = Parts::of(&path, &all[0].metadata)? {
        for path in parts.others() {
            let mut source = parts.open(&path, open)?;
            let part = Part::read(&mut source).map_err(|error| error.path(&path))?;
            parts.check(all.len(), &part.metadata).map_err(|error| error.path(&path))?;
            sources.push(source);
            all.push(part);
        }
        parts.check_tensors(all.iter().map(|part| part.entries.len() as u64).sum())?;
    }
    let mut seen = BTreeSet::new();
    for entry in all.iter().flat_map(|part| &part.entries) {
        if !seen.insert(entry.name.as_str()) {
            let cause = KEY_TWICE.about([&quote(&entry.name)]);
            return Err(LoadError::header(cause, "two tensors of one name")
                .tensor(&entry.name)
                .expected("every name once", quote(&entry.name)));
        }
    }
    let has = |name: &str| seen.contains(name);
    let metadata = &all[0].metadata;
    let family = Family::of(metadata)?;
    let mut tensors: Vec<ImportedTensor> = Vec::new();
    for (file, part) in all.iter().enumerate() {
        let before = tensors.len();
        for entry in &part.entries {
            tensors.push(entry.tensor(&family, part.alignment, file)?);
        }
        layout::check(&tensors[before..], part.alignment, part.data.end - part.data.start)?;
    }
    let mut entries = all.iter().flat_map(|part| &part.entries);
    let vocabulary = entries.find(|entry| entry.name == "token_embd.weight");
    let vocabulary = vocabulary.and_then(|words| words.shape.first()).copied();
    let documents = EmbeddedDocuments {
        config: config::document(metadata, &family, vocabulary, &has)?,
        tokenizer: vocabulary::tokenizer(metadata)?,
        template: vocabulary::template(metadata)?,
        rope_factors: has(names::ROPE_FACTORS).then(|| names::ROPE_FACTORS.to_owned()),
    };
    let files = all.into_iter().map(|part| ImportedFile { data: part.data, tail: None }).collect();
    Ok(ImportedModel { tensors, documents, files })
}

impl Part {
    fn read(source: &mut Source) -> Result<Part> {
        let front = &mut Front::new(&mut source.file, &mut source.hasher);
        let head = front.head();
        if !head.starts_with(MAGIC) {
            return Err(match MAGIC.starts_with(head) {
                true => too_short(front.file_bytes()),
                false => another("GGUF", head),
            });
        }
        if front.file_bytes() < 24 {
            return Err(too_short(front.file_bytes()));
        }
        front.take(MAGIC.len() as u64)?;
        let version = front.u32()?;
        if !matches!(version, 2 | 3) {
            let found = match version.swap_bytes() {
                2 | 3 => format!("version {} in big-endian order", version.swap_bytes()),
                _ => format!("version {version}"),
            };
            return Err(LoadError::header(GGUF_VERSION, "GGUF version not read")
                .expected("version 2 or 3, little-endian", found));
        }
        let (tensors, keys) = (front.u64()?, front.u64()?);
        // An entry has at least 32 bytes: length of the name, number of sides, one side, type,
        // offset.
        let tensors = front.count(tensors, 32, MOST_TENSORS, "tensors")?;
        let metadata = Metadata::read(front, keys)?;
        let alignment = metadata.alignment(ALIGNMENT)?;
        let mut entries = Vec::new();
        for _ in 0..tensors {
            entries.push(Entry::read(front)?);
        }
        let padding = front.taken().next_multiple_of(alignment) - front.taken();
        if tensors > 0 || padding <= front.left() {
            front.take(padding)?;
        }
        let data = front.taken()..front.file_bytes();
        Ok(Part { metadata, alignment, entries, data })
    }
}

fn too_short(bytes: u64) -> LoadError {
    LoadError::header(TOO_SHORT, "file shorter than a GGUF header")
        .expected("at least 24 bytes", format!("{bytes} bytes"))
}

#[cfg(test)]
mod tests;
