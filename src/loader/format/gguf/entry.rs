//! An entry of a GGUF file's table of tensors, and the element types of the format.

use crate::contract::DType;
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::format::blocks::Packing;
use crate::loader::format::front::Front;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::format::{Import, ImportedTensor, layout};
use crate::loader::remedies::formats::{
    GGUF_TYPE_NOT_SUPPORTED, GGUF_UNKNOWN_TENSOR, TYPE_NOT_KNOWN,
};
use crate::loader::remedies::header::{INVALID_FIELD, INVALID_LAYOUT, SIZE_OVERFLOW};

use super::config::Family;
use super::names;

/// Longest name of a tensor, in bytes, and most dimensions. Source: the format's specification.
const LONGEST_NAME: u64 = 64;
const MOST_SIDES: u32 = 4;

/// Supported element types that are not packed, by the format's type id.
const PLAIN: [(u32, DType); 3] = [(0, DType::F32), (1, DType::F16), (30, DType::BF16)];

/// Element types that are known but not supported: those of other kinds of numbers, those that
/// exist in computations only, and those that were removed from the format.
const REFUSED: [(u32, &str); 15] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (15, "Q8_K"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (36, "IQ4_NL_4_4"),
    (37, "IQ4_NL_4_8"),
    (38, "IQ4_NL_8_8"),
];

/// An entry of the table of tensors.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    kind: u32,
    offset: u64,
}

impl Entry {
    /// Reads the next entry.
    pub(super) fn read(front: &mut Front<'_>) -> Result<Entry> {
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

    /// Describes the tensor under its published name. It is in this file of the model.
    pub(super) fn tensor(
        &self,
        family: &Family,
        alignment: u64,
        file: usize,
    ) -> Result<ImportedTensor> {
        let (dtype, packing) = self.element()?;
        let name = names::published(&self.name, family).ok_or_else(|| {
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
        let mut tensor = ImportedTensor { info, import, file };
        let bytes = layout::stored_bytes(&tensor)?;
        tensor.info.end = self.offset.checked_add(bytes).ok_or_else(|| {
            LoadError::header(SIZE_OVERFLOW, "a tensor's place does not fit in 64 bits")
                .tensor(&self.name)
                .expected("a place below 2^64", self.offset)
        })?;
        Ok(tensor)
    }

    /// The element type before conversion, and how elements are packed.
    fn element(&self) -> Result<(DType, Option<Packing>)> {
        if let Some((_, dtype)) = PLAIN.into_iter().find(|(kind, _)| *kind == self.kind) {
            return Ok((dtype, None));
        }
        if let Some(packing) = Packing::all().find(|packing| packing.id() == self.kind) {
            return Ok((DType::F32, Some(packing)));
        }
        let packed: Vec<&str> = Packing::all().map(Packing::name).collect();
        let names = format!("F32, F16, BF16, {}", packed.join(", "));
        Err(match REFUSED.into_iter().find(|(kind, _)| *kind == self.kind) {
            Some((_, name)) => LoadError::header(
                GGUF_TYPE_NOT_SUPPORTED,
                format!("element type {name} is not supported"),
            )
            .expected(names, name),
            None => LoadError::header(TYPE_NOT_KNOWN, "element type that is not known")
                .expected(names, format!("type {}", self.kind)),
        }
        .tensor(&self.name))
    }
}
