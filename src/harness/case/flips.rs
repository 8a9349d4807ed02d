//! A step that loads a file again and again, each time with another bit flipped.

use serde::{Deserialize, Serialize};

/// Loads a file with one bit flipped, again and again; every load must be refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flips {
    /// Which file.
    #[serde(default = "super::default_names::main_file")]
    pub file: String,
    /// How many bits, one at a time.
    pub times: u32,
    /// Where in the file.
    #[serde(rename = "in")]
    pub place: FlipPlace,
    /// Whether the sound file's seal is asked for, in place of its digest.
    #[serde(default)]
    pub sealed: bool,
}

/// Where bits are flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlipPlace {
    /// The eight bytes of the length prefix.
    Prefix,
    /// The header's text, without the spaces behind it.
    Header,
    /// The spaces behind the header's text.
    Padding,
    /// The data's first 64 bytes.
    DataStart,
    /// Anywhere in the data.
    Data,
    /// The data's last 64 bytes.
    DataEnd,
}
