//! Damages a GGUF or APR file. It finds the places to change by searching for names in the file.

use apr_format::v2::{AprV2Header, HEADER_SIZE_V2};
use serde::{Deserialize, Serialize};

use crate::contract::request::Format;

/// Damage to a finished file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Break {
    /// One bit of the magic's first byte is flipped.
    Magic,
    /// The version is 9.
    Version,
    /// GGUF only: the version number is big-endian.
    BigEndian,
    /// Only the first ten bytes are left.
    Stub,
    /// The file ends in its header.
    CutHeader,
    /// The last 80 bytes are missing.
    CutData,
    /// 96 zero bytes follow the end.
    Trailing,
    /// The header claims far more tensors than the file can hold.
    ManyTensors,
    /// The header claims far more metadata than the file can hold.
    ManyKeys,
    /// GGUF only: a string claims 2^60 bytes.
    LongText,
    /// GGUF only: a key is there twice.
    KeyTwice,
    /// GGUF only: the architecture is unknown.
    Architecture,
    /// GGUF only: the architecture has an unknown key.
    UnknownKey,
    /// GGUF only: the pre-tokenizer is unknown.
    UnknownCut,
    /// A tensor's element type does not exist in the format.
    UnknownType,
    /// A tensor's element type is one that the contract does not require.
    OtherType,
    /// Two tensors have the same name.
    NameTwice,
    /// GGUF only: the architecture does not have this tensor.
    StrangeTensor,
    /// A tensor has the offset of the first tensor.
    Overlap,
    /// A tensor's offset is too large.
    Gap,
    /// One dimension of a tensor is 2^62.
    Overflow,
    /// GGUF only: the alignment is 48, no power of two. The file must have an alignment of its own.
    AlignmentOdd,
    /// GGUF only: the alignment is 4, no multiple of eight.
    AlignmentSmall,
    /// GGUF only: the alignment is 0.
    AlignmentZero,
    /// GGUF only: a flag is 2.
    FlagTwo,
    /// GGUF only: a key has a letter beyond ASCII.
    KeyNotAscii,
    /// GGUF only: the name of a tensor has a letter beyond ASCII.
    NameNotAscii,
    /// GGUF only: a key is no UTF-8.
    KeyNotText,
    /// One dimension of a tensor is zero.
    SideZero,
    /// A tensor has more dimensions than the format allows.
    ManySides,
    /// GGUF only: a tensor has no dimension.
    NoSides,
    /// A tensor's offset is no multiple of the alignment.
    Unaligned,
    /// GGUF only: the element type of a list is that of lists, in each other many times.
    NestedList,
    /// GGUF only: a list claims 2^60 elements.
    LongList,
    /// GGUF only: a name claims to be as long as the largest number.
    LongName,
    /// GGUF only: the header claims one tensor less than its table has.
    FewTensors,
    /// APR only: a flag is set that the format does not have.
    UnknownFlag,
    /// APR only: names do not ascend.
    Unsorted,
    /// APR only: the tensor's size is not what shape and type make.
    SizeOff,
    /// APR only: the header says that the data begins elsewhere.
    DataElsewhere,
    /// APR only: the flags say that the data is column-major.
    ColumnMajor,
    /// APR only: one bit of the header's checksum is flipped.
    HeaderSum,
    /// APR only: one bit of the data is flipped, and the checksum at the end is unchanged.
    DataBit,
}

impl Break {
    /// The name in a case file.
    fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            Ok(other) => other.to_string(),
            Err(error) => error.to_string(),
        }
    }
}

/// The tensor that is damaged, by its name in each format.
const GGUF_TENSOR: &str = "blk.0.ffn_up.weight";
const APR_TENSOR: &str = "model.layers.0.mlp.up_proj.weight";

/// Damages a file.
///
/// # Errors
/// If the format does not have such damage, or the place to change is not in the file.
pub fn apply(bytes: &mut Vec<u8>, format: Format, damage: Break) -> Result<(), String> {
    let half = bytes.len() / 2;
    match damage {
        Break::Magic => bytes[0] ^= 0x20,
        Break::Stub => bytes.truncate(10),
        Break::CutData => bytes.truncate(bytes.len() - 80),
        Break::Trailing => bytes.extend([0; 96]),
        _ if format == Format::Gguf => return gguf(bytes, damage),
        Break::CutHeader => bytes.truncate(HEADER_SIZE_V2 + 40),
        Break::DataBit => bytes[half] ^= 1,
        Break::HeaderSum => bytes[40] ^= 1,
        _ => return apr(bytes, damage),
    }
    Ok(())
}

fn gguf(bytes: &mut Vec<u8>, damage: Break) -> Result<(), String> {
    // After the name: rank (4 bytes), two dimensions (8 each), element type (4), offset (8).
    let tensor = behind(bytes, GGUF_TENSOR, 8);
    let far = u64::MAX / 2;
    match damage {
        Break::Version => put(bytes, 4, &9u32.to_le_bytes()),
        Break::BigEndian => put(bytes, 4, &3u32.to_be_bytes()),
        Break::CutHeader => {
            bytes.truncate(tensor? + 6);
            Ok(())
        }
        Break::ManyTensors => put(bytes, 8, &far.to_le_bytes()),
        Break::ManyKeys => put(bytes, 16, &far.to_le_bytes()),
        Break::LongText => {
            // After the key: the value's type (4 bytes), then the string's length.
            let at = behind(bytes, "general.architecture", 8)? + 4;
            put(bytes, at, &(1u64 << 60).to_le_bytes())
        }
        Break::KeyTwice => rename(bytes, ".attention.key_length", ".attention.head_count"),
        Break::UnknownKey => rename(bytes, ".rope.dimension_count", ".rope.scaling.factors"),
        Break::Architecture => {
            let at = behind(bytes, "general.architecture", 8)? + 12;
            put(bytes, at, b"none")
        }
        Break::UnknownCut => {
            let at = behind(bytes, "tokenizer.ggml.pre", 8)? + 12;
            put(bytes, at, b"none")
        }
        Break::AlignmentOdd | Break::AlignmentSmall | Break::AlignmentZero => {
            let alignment: u32 = match damage {
                Break::AlignmentOdd => 48,
                Break::AlignmentSmall => 4,
                _ => 0,
            };
            // After the key: the value's type, then the value.
            let at = behind(bytes, "general.alignment", 8)? + 4;
            put(bytes, at, &alignment.to_le_bytes())
        }
        Break::FlagTwo => {
            let at = behind(bytes, "tokenizer.ggml.add_bos_token", 8)? + 4;
            put(bytes, at, &[2])
        }
        Break::KeyNotAscii => rename(bytes, "general.architecture", "g\u{e9}neral.rchitecture"),
        Break::NameNotAscii => rename(bytes, "blk.0.ffn_up.weight", "blk.0.ffn_\u{fc}.weight"),
        Break::KeyNotText => {
            let at = behind(bytes, "general.architecture", 8)? - 1;
            put(bytes, at, &[0xff])
        }
        Break::SideZero => put(bytes, tensor? + 4, &0u64.to_le_bytes()),
        Break::ManySides => put(bytes, tensor?, &5u32.to_le_bytes()),
        Break::NoSides => put(bytes, tensor?, &0u32.to_le_bytes()),
        Break::Unaligned => {
            let at = tensor? + 24;
            let offset = bytes.get(at..at + 8).and_then(|at| at.try_into().ok());
            let offset = u64::from_le_bytes(offset.ok_or("the file is too short")?);
            put(bytes, at, &(offset + 8).to_le_bytes())
        }
        Break::NestedList => {
            // After the key: the type of a list, the type of its elements, their count; and so on.
            let at = behind(bytes, "tokenizer.ggml.tokens", 8)? + 4;
            let count = (bytes.len() - at) / 12 - 1;
            (0..count.min(100_000)).try_for_each(|level| {
                put(bytes, at + level * 12, &9u32.to_le_bytes())?;
                put(bytes, at + level * 12 + 4, &1u64.to_le_bytes())
            })
        }
        Break::LongList => {
            let at = behind(bytes, "tokenizer.ggml.tokens", 8)? + 8;
            put(bytes, at, &(1u64 << 60).to_le_bytes())
        }
        Break::LongName => {
            let at = tensor? - GGUF_TENSOR.len() - 8;
            put(bytes, at, &u64::MAX.to_le_bytes())
        }
        Break::FewTensors => {
            let count = bytes.get(8..16).and_then(|count| count.try_into().ok());
            let count = u64::from_le_bytes(count.ok_or("the file is too short")?);
            put(bytes, 8, &(count - 1).to_le_bytes())
        }
        Break::UnknownType => put(bytes, tensor? + 20, &99u32.to_le_bytes()),
        // I8.
        Break::OtherType => put(bytes, tensor? + 20, &24u32.to_le_bytes()),
        Break::NameTwice => rename(bytes, "blk.0.attn_k.weight", "blk.0.attn_q.weight"),
        Break::StrangeTensor => rename(bytes, "output_norm.weight", "output_mean.weight"),
        Break::Overlap => put(bytes, tensor? + 24, &0u64.to_le_bytes()),
        Break::Gap => put(bytes, tensor? + 24, &(1u64 << 40).to_le_bytes()),
        Break::Overflow => put(bytes, tensor? + 4, &(1u64 << 62).to_le_bytes()),
        other => Err(format!("GGUF files do not have the damage `{}`", other.name())),
    }
}

fn apr(bytes: &mut [u8], damage: Break) -> Result<(), String> {
    // After the name: element type and rank (1 byte each), two dimensions, offset, size (8 each).
    let tensor = behind(bytes, APR_TENSOR, 2);
    match damage {
        Break::Version => put(bytes, 4, &[9])?,
        Break::ManyTensors => put(bytes, 8, &u32::MAX.to_le_bytes())?,
        Break::ManyKeys => put(bytes, 20, &(u32::MAX / 2).to_le_bytes())?,
        // Bit 11 of the flags.
        Break::ColumnMajor => bytes[7] |= 8,
        // Bit 15 of the flags.
        Break::UnknownFlag => bytes[7] |= 0x80,
        Break::SideZero => put(bytes, tensor? + 2, &0u64.to_le_bytes())?,
        Break::ManySides => put(bytes, tensor? + 1, &[9])?,
        Break::Unsorted => rename(bytes, ".input_layernorm.weight", ".zoput_layernorm.weight")?,
        Break::SizeOff => {
            let at = tensor? + 26;
            let size = bytes.get(at..at + 8).and_then(|size| size.try_into().ok());
            let size = u64::from_le_bytes(size.ok_or("the file is too short")?);
            put(bytes, at, &(size - 4).to_le_bytes())?;
        }
        Break::Unaligned => {
            let at = tensor? + 18;
            let offset = bytes.get(at..at + 8).and_then(|at| at.try_into().ok());
            let offset = u64::from_le_bytes(offset.ok_or("the file is too short")?);
            put(bytes, at, &(offset + 8).to_le_bytes())?;
        }
        Break::DataElsewhere => {
            let offset = bytes.get(32..40).and_then(|at| at.try_into().ok());
            let offset = u64::from_le_bytes(offset.ok_or("the file is too short")?);
            put(bytes, 32, &(offset + 64).to_le_bytes())?;
        }
        Break::UnknownType => put(bytes, tensor?, &[99])?,
        // I64.
        Break::OtherType => put(bytes, tensor?, &[5])?,
        Break::NameTwice => rename(bytes, ".self_attn.v_proj.weight", ".self_attn.q_proj.weight")?,
        Break::Overlap => put(bytes, tensor? + 18, &0u64.to_le_bytes())?,
        Break::Gap => put(bytes, tensor? + 18, &(1u64 << 40).to_le_bytes())?,
        Break::Overflow => put(bytes, tensor? + 2, &(1u64 << 62).to_le_bytes())?,
        other => return Err(format!("APR files do not have the damage `{}`", other.name())),
    }
    // The header's checksum is updated, because this damage does not test the checksum.
    let mut header = AprV2Header::from_bytes(bytes).map_err(|error| error.to_string())?;
    header.update_checksum();
    put(bytes, 0, &header.to_bytes())
}

/// Offset just after a name that is stored with its length in front, in `length_bytes` bytes.
fn behind(bytes: &[u8], name: &str, length_bytes: usize) -> Result<usize, String> {
    let mut wanted = (name.len() as u64).to_le_bytes()[..length_bytes].to_vec();
    wanted.extend_from_slice(name.as_bytes());
    let at = bytes.windows(wanted.len()).position(|window| window == wanted);
    at.map(|at| at + wanted.len()).ok_or_else(|| format!("the file does not contain {name}"))
}

/// Replaces the first occurrence of a name by another of the same length.
fn rename(bytes: &mut [u8], from: &str, to: &str) -> Result<(), String> {
    if from.len() != to.len() {
        return Err(format!("{to} does not have the length of {from}"));
    }
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.ok_or_else(|| format!("the file does not contain {from}"))?;
    put(bytes, at, to.as_bytes())
}

fn put(bytes: &mut [u8], at: usize, new: &[u8]) -> Result<(), String> {
    let place = bytes.get_mut(at..at + new.len());
    place.ok_or("the file is too short")?.copy_from_slice(new);
    Ok(())
}
