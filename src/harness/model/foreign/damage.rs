//! What can be wrong with a file of another format. Places are found by the names that stand there.

use apr_format::v2::{AprV2Header, HEADER_SIZE_V2};
use serde::Deserialize;

use crate::contract::request::Format;

/// Damage to a finished file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Break {
    /// The first byte is another.
    Magic,
    /// The version is 9.
    Version,
    /// Of GGUF: the version's bytes stand in big-endian order.
    BigEndian,
    /// Nothing is left but the first ten bytes.
    Stub,
    /// The file ends in the middle of its header.
    CutHeader,
    /// The file ends within its last tensor.
    CutData,
    /// Ninety-six zeros stand behind the end.
    Trailing,
    /// The header claims far more tensors than there is room for.
    ManyTensors,
    /// The header claims far more metadata than there is room for.
    ManyKeys,
    /// Of GGUF: a text claims 2^60 bytes.
    LongText,
    /// Of GGUF: a key stands twice.
    KeyTwice,
    /// Of GGUF: the architecture is none.
    Architecture,
    /// Of GGUF: a key of the architecture that nobody knows.
    UnknownKey,
    /// Of GGUF: the way of cutting text is none.
    UnknownCut,
    /// A tensor's element type is none of the format.
    UnknownType,
    /// A tensor's element type is one that the contract does not ask for.
    OtherType,
    /// A tensor has the name of another.
    NameTwice,
    /// Of GGUF: a tensor that the architecture does not have.
    StrangeTensor,
    /// A tensor begins where the first one does.
    Overlap,
    /// A tensor begins further on than it should.
    Gap,
    /// A side of a tensor is 2^62.
    Overflow,
    /// Of APR: rows and columns are said to be exchanged.
    ColumnMajor,
    /// Of APR: a bit of the header's sum is another.
    HeaderSum,
    /// Of APR: a bit of the data is another, and the sum at the end is not.
    DataBit,
}

/// The tensor that damage is done to, without what the formats put around its name.
const GGUF_TENSOR: &str = "blk.0.ffn_up.weight";
const APR_TENSOR: &str = "model.layers.0.mlp.up_proj.weight";

/// Damages a file.
///
/// # Errors
/// Damage that the format cannot have, or a place that is not there.
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
    // Behind the name: how many sides (4 bytes), two sides (8 each), the type (4), the offset (8).
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
            // The value behind the key: its type, its length.
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
        Break::UnknownType => put(bytes, tensor? + 20, &99u32.to_le_bytes()),
        // Q5_K.
        Break::OtherType => put(bytes, tensor? + 20, &13u32.to_le_bytes()),
        Break::NameTwice => rename(bytes, "blk.0.attn_k.weight", "blk.0.attn_q.weight"),
        Break::StrangeTensor => rename(bytes, "output_norm.weight", "output_mean.weight"),
        Break::Overlap => put(bytes, tensor? + 24, &0u64.to_le_bytes()),
        Break::Gap => put(bytes, tensor? + 24, &(1u64 << 40).to_le_bytes()),
        Break::Overflow => put(bytes, tensor? + 4, &(1u64 << 62).to_le_bytes()),
        other => Err(format!("no damage to GGUF: {other:?}")),
    }
}

fn apr(bytes: &mut [u8], damage: Break) -> Result<(), String> {
    // Behind the name: the type, how many sides (a byte each), two sides, offset, size (8 each).
    let tensor = behind(bytes, APR_TENSOR, 2);
    match damage {
        Break::Version => put(bytes, 4, &[9])?,
        Break::ManyTensors => put(bytes, 8, &u32::MAX.to_le_bytes())?,
        Break::ManyKeys => put(bytes, 20, &(u32::MAX / 2).to_le_bytes())?,
        // Bit 11 of the flags.
        Break::ColumnMajor => bytes[7] |= 8,
        Break::UnknownType => put(bytes, tensor?, &[99])?,
        // I64.
        Break::OtherType => put(bytes, tensor?, &[5])?,
        Break::NameTwice => rename(bytes, ".self_attn.v_proj.weight", ".self_attn.q_proj.weight")?,
        Break::Overlap => put(bytes, tensor? + 18, &0u64.to_le_bytes())?,
        Break::Gap => put(bytes, tensor? + 18, &(1u64 << 40).to_le_bytes())?,
        Break::Overflow => put(bytes, tensor? + 2, &(1u64 << 62).to_le_bytes())?,
        other => return Err(format!("no damage to APR: {other:?}")),
    }
    // The header's own sum is made right again: what is tried is not the sum.
    let mut header = AprV2Header::from_bytes(bytes).map_err(|error| error.to_string())?;
    header.update_checksum();
    put(bytes, 0, &header.to_bytes())
}

/// The place behind a name that its length stands before, in so many bytes.
fn behind(bytes: &[u8], name: &str, length_bytes: usize) -> Result<usize, String> {
    let mut wanted = (name.len() as u64).to_le_bytes()[..length_bytes].to_vec();
    wanted.extend_from_slice(name.as_bytes());
    let at = bytes.windows(wanted.len()).position(|window| window == wanted);
    at.map(|at| at + wanted.len()).ok_or_else(|| format!("no {name} in the file"))
}

/// Puts a name of the same length in another's place, where it first stands.
fn rename(bytes: &mut [u8], from: &str, to: &str) -> Result<(), String> {
    if from.len() != to.len() {
        return Err(format!("{to} is not as long as {from}"));
    }
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.ok_or_else(|| format!("no {from} in the file"))?;
    put(bytes, at, to.as_bytes())
}

fn put(bytes: &mut [u8], at: usize, new: &[u8]) -> Result<(), String> {
    let place = bytes.get_mut(at..at + new.len());
    place.ok_or("the file is too short")?.copy_from_slice(new);
    Ok(())
}
