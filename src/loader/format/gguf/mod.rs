//! Reads the part of a GGUF file (versions 2 and 3, little-endian) before its data.
//!
//! The file has magic, version, two counts, metadata (key, type, value), a table of tensors (name,
//! sides, type, offset), and the data at the next multiple of the alignment. The table lists the
//! sides of a tensor from the innermost to the outermost. In reverse order they are the row-major
//! shape of the same bytes.

mod config;
mod metadata;
mod names;
mod vocabulary;

use std::collections::BTreeSet;

use super::safetensors::TensorInfo;
use crate::contract::DType;
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::remedies::formats::{
    GGUF_TYPE_NOT_SUPPORTED, GGUF_UNKNOWN_TENSOR, GGUF_VERSION, TYPE_NOT_KNOWN,
};
use crate::loader::remedies::header::{
    INVALID_FIELD, INVALID_LAYOUT, KEY_TWICE, SIZE_OVERFLOW, TOO_SHORT,
};

use super::blocks::Packing;
use super::front::Front;
use super::{EmbeddedDocuments, Import, ImportedModel, ImportedTensor, another, layout};

use self::metadata::Metadata;

/// First bytes of a file.
const MAGIC: &[u8] = b"GGUF";

/// Most tensors of a file.
const MOST_TENSORS: u64 = 1 << 17;

/// Longest name of a tensor, in bytes, and most dimensions. Source: the format's specification.
const LONGEST_NAME: u64 = 64;
const MOST_SIDES: u32 = 4;

/// Default alignment of tensors, in bytes.
const ALIGNMENT: u64 = 32;

/// Supported element types, by the format's type id.
const SERVED: [(u32, DType, Option<Packing>); 6] = [
    (0, DType::F32, None),
    (1, DType::F16, None),
    (30, DType::BF16, None),
    (8, DType::F32, Some(Packing::Q8_0)),
    (12, DType::F32, Some(Packing::Q4K)),
    (14, DType::F32, Some(Packing::Q6K)),
];

/// Element types that are known but not supported.
const KNOWN: [(u32, &str); 28] = [
    (2, "Q4_0"),
    (3, "Q4_1"),
    (6, "Q5_0"),
    (7, "Q5_1"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (13, "Q5_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
];

/// An entry of the table of tensors.
struct Entry {
    name: String,
    shape: Vec<u64>,
    kind: u32,
    offset: u64,
}

/// Reads a file up to its data.
///
/// # Errors
/// As for [`read`](super::read).
pub fn read(front: &mut Front<'_>) -> Result<ImportedModel> {
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
    // An entry has at least 32 bytes: length of the name, number of sides, one side, type, offset.
    let tensors = front.count(tensors, 32, MOST_TENSORS, "tensors")?;
    let metadata = Metadata::read(front, keys)?;
    let alignment = metadata.alignment(ALIGNMENT)?;
    let mut entries = Vec::new();
    for _ in 0..tensors {
        entries.push(Entry::read(front)?);
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = entries.iter().find(|entry| !seen.insert(entry.name.as_str())) {
        let cause = KEY_TWICE.about([&quote(&twice.name)]);
        return Err(LoadError::header(cause, "two tensors of one name")
            .tensor(&twice.name)
            .expected("every name once", quote(&twice.name)));
    }
    let padding = front.taken().next_multiple_of(alignment) - front.taken();
    if tensors > 0 || padding <= front.left() {
        front.take(padding)?;
    }
    let has = |name: &str| seen.contains(name);
    let family = config::Family::of(&metadata, &has)?;
    let data = front.taken()..front.file_bytes();
    let tensors: Vec<ImportedTensor> =
        entries.iter().map(|entry| entry.tensor(&family, alignment)).collect::<Result<_>>()?;
    layout::check(&tensors, alignment, data.end - data.start)?;
    let vocabulary = entries.iter().find(|entry| entry.name == "token_embd.weight");
    let vocabulary = vocabulary.and_then(|words| words.shape.first()).copied();
    let documents = EmbeddedDocuments {
        config: config::document(&metadata, &family, vocabulary, &has)?,
        tokenizer: vocabulary::tokenizer(&metadata)?,
        template: vocabulary::template(&metadata)?,
    };
    Ok(ImportedModel { tensors, documents, data, tail: None })
}

fn too_short(bytes: u64) -> LoadError {
    LoadError::header(TOO_SHORT, "file shorter than a GGUF header")
        .expected("at least 24 bytes", format!("{bytes} bytes"))
}

impl Entry {
    fn read(front: &mut Front<'_>) -> Result<Entry> {
        let name = front.text(LONGEST_NAME, "a tensor's name")?;
        let at_fault = |error: LoadError| error.tensor(&name);
        let sides = front.u32()?;
        if !(1..=MOST_SIDES).contains(&sides) {
            return Err(at_fault(
                LoadError::header(INVALID_FIELD, "a tensor has too few or too many dimensions")
                    .expected(format!("1 to {MOST_SIDES}"), sides),
            ));
        }
        let mut shape = Vec::new();
        for _ in 0..sides {
            let side = front.u64()?;
            if side == 0 {
                let error = LoadError::header(INVALID_FIELD, "a tensor without elements");
                return Err(at_fault(error.expected("sides of at least 1", 0)));
            }
            shape.push(side);
        }
        shape.reverse();
        let (kind, offset) = (front.u32()?, front.u64()?);
        Ok(Entry { name, shape, kind, offset })
    }

    fn tensor(&self, family: &config::Family, alignment: u64) -> Result<ImportedTensor> {
        let Some((_, dtype, packing)) = SERVED.into_iter().find(|(kind, ..)| *kind == self.kind)
        else {
            let names = "F32, F16, BF16, Q8_0, Q4_K or Q6_K";
            return Err(match KNOWN.into_iter().find(|(kind, _)| *kind == self.kind) {
                Some((_, name)) => LoadError::header(
                    GGUF_TYPE_NOT_SUPPORTED,
                    format!("element type {name} is not supported"),
                )
                .expected(names, name),
                None => LoadError::header(TYPE_NOT_KNOWN, "element type that is not known")
                    .expected(names, format!("type {}", self.kind)),
            }
            .tensor(&self.name));
        };
        let name = names::published(&self.name).ok_or_else(|| {
            LoadError::header(GGUF_UNKNOWN_TENSOR, "a tensor that the architecture does not have")
                .tensor(&self.name)
                .expected("the tensors of qwen2, qwen3 or llama", quote(&self.name))
        })?;
        if !self.offset.is_multiple_of(alignment) {
            return Err(LoadError::header(
                INVALID_LAYOUT,
                "a tensor does not begin at the alignment",
            )
            .tensor(&self.name)
            .expected(format!("a multiple of {alignment}"), self.offset));
        }
        let info = TensorInfo {
            name,
            dtype,
            shape: self.shape.clone(),
            begin: self.offset,
            end: self.offset,
        };
        let import = Import { packing, heads: family.turned(&self.name, &self.shape)? };
        let mut tensor = ImportedTensor { info, import };
        let bytes = layout::stored_bytes(&tensor)?;
        tensor.info.end = self.offset.checked_add(bytes).ok_or_else(|| {
            LoadError::header(SIZE_OVERFLOW, "a tensor's place does not fit in 64 bits")
                .tensor(&self.name)
                .expected("a place below 2^64", self.offset)
        })?;
        Ok(tensor)
    }
}
