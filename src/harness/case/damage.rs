//! Damage to finished files, as a case names it.

use serde::{Deserialize, Serialize};

/// Damage to finished bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// Replaces the length prefix.
    Prefix(u64),
    /// Replaces the length prefix by the file's size plus this.
    PrefixBeyondFile(u64),
    /// Byte-swaps the length prefix.
    PrefixBigEndian,
    /// Removes so many bytes from the end.
    CutEnd(u64),
    /// Keeps only so many bytes.
    Keep(u64),
    /// Removes all data, keeps the header.
    CutData,
    /// Appends so many random bytes.
    Append(u64),
    /// Appends so many zero bytes.
    AppendZeros(u64),
    /// Appends a small zip archive.
    AppendZip,
    /// Flips one bit: byte offset from the start of the data, bit 0..8.
    FlipData(u64, u8),
    /// Flips one random bit of the header text.
    FlipHeader,
    /// Overwrites the last so many bytes of the header text with NUL.
    NulPadding(u64),
    /// Zeroes the last so many bytes of data.
    ZeroTail(u64),
}
