//! How a file of a case is made: from tensors, from a literal header, or from the content of another format.
//! Damage is applied last.
//!
//! Every random value comes from the run's seed and the case's id. A run can therefore be repeated, and a
//! loader cannot know a file in advance.

use std::collections::BTreeMap;

use serde::Deserialize;

pub use super::damage::Damage;
use super::shards::Shards;
use crate::contract::DType;

/// One file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Tensors, in the order of the header; data in the same order unless `data_order` says else.
    #[serde(default)]
    pub tensors: Vec<TensorRecipe>,
    /// `__metadata__`.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Adds so many entries to `__metadata__`, and one whose value has so many letters.
    #[serde(default)]
    pub more_metadata: Option<(usize, usize)>,
    /// Data order as indices into the tensors, each `count` spread out, where it differs from the
    /// header's.
    #[serde(default)]
    pub data_order: Option<Vec<usize>>,
    /// The header is padded with spaces to a multiple of this; 8 by default, 1 for none.
    #[serde(default)]
    pub header_multiple: Option<u64>,
    /// Spaces added to the header before padding: shifts the data to an odd address.
    #[serde(default)]
    pub header_spaces: u64,
    /// The header's literal text instead of `tensors`. Unpadded.
    #[serde(default)]
    pub header: Option<String>,
    /// The header's literal bytes in hex, where it is no text.
    #[serde(default)]
    pub header_hex: Option<String>,
    /// Random data bytes behind a literal or generated header: finite non-zero numbers as F16, as
    /// BF16 and as F32. A generated header that needs data gets it where this is 0.
    #[serde(default)]
    pub data: u64,
    /// A header made by rule, too long to write down.
    #[serde(default)]
    pub generated: Option<Generated>,
    /// No safetensors file at all.
    #[serde(default)]
    pub foreign: Option<Foreign>,
    /// The checkpoint of the run: `--model`, or the bundled small one.
    #[serde(default)]
    pub checkpoint: bool,
    /// Spreads the tensors over several files with an index, which is what is loaded.
    #[serde(default)]
    pub shards: Option<Shards>,
    /// Done to the finished bytes, in order.
    #[serde(default)]
    pub damage: Vec<Damage>,
    /// What stands at the path.
    #[serde(default)]
    pub node: Node,
}

impl Recipe {
    /// All of `__metadata__`.
    pub fn all_metadata(&self) -> Option<BTreeMap<String, String>> {
        let Some((entries, letters)) = self.more_metadata else { return self.metadata.clone() };
        let mut all = self.metadata.clone().unwrap_or_default();
        all.extend((0..entries).map(|at| (format!("entry.{at:05}"), format!("value of {at}"))));
        let letter = |at: usize| char::from(b'a' + (at % 26) as u8);
        all.insert("long".to_owned(), (0..letters).map(letter).collect());
        Some(all)
    }
}

/// One tensor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorRecipe {
    /// Its name. With `count`, `{i}` in it stands for 0, 1, 2...
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape, outermost dimension first.
    pub shape: Vec<u64>,
    /// Values.
    #[serde(default)]
    pub fill: Fill,
    /// How many such tensors.
    #[serde(default)]
    pub count: Option<u64>,
}

/// Values of a tensor.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// Finite values of either sign with every mantissa bit random, magnitude in [2^-6, 2).
    #[default]
    Random,
    /// All bits zero.
    Zeros,
    /// One value everywhere.
    Constant(f64),
    /// Random, with exactly this many of the elements set to zero, spread at random. Elements at
    /// 10, 50 and 90 % stay non-zero.
    ZeroCount(u64),
    /// Random, with these elements (index, value) set. `nan`, `inf` and `-inf` are YAML `.nan`,
    /// `.inf` and `-.inf`.
    Set(Vec<(u64, f64)>),
    /// Random, with a run of zeros: first element, length.
    ZeroRun(u64, u64),
    /// Random values of either sign, magnitude from this to twice this.
    Scaled(f64),
    /// Bit patterns 0, 1, 2... one an element: all 65,536 of a 16-bit type in order.
    EveryPattern,
    /// The F32 special values: zeros, subnormals, extremes, infinities, quiet and signalling NaN
    /// with several payloads, of both signs; repeated to fill the shape.
    Specials,
    /// Random bits, NaN and infinities included.
    RawBits,
}

/// Headers too long to write down.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generated {
    /// A JSON array nested so deep.
    NestedArrays(u64),
    /// A legal tensor entry with an extra field that nests so deep.
    NestedField(u64),
    /// So many tensors all claiming the same bytes.
    SameRange(u64),
    /// A legal file of one F32 tensor with so many dimensions, all 1.
    Rank(u64),
    /// A header of only so many spaces.
    Spaces(u64),
    /// A legal header padded with spaces to exactly this many bytes.
    PaddedTo(u64),
}

/// Content that is no safetensors file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Foreign {
    /// A git-lfs pointer file.
    GitLfsPointer,
    /// An HTML error page.
    HtmlPage,
    /// A bare pickle, protocol 2.
    Pickle,
    /// A zip archive as `torch.save` writes.
    Zip,
    /// A GGUF v3 header.
    Gguf,
    /// Nothing: 0 bytes.
    Empty,
    /// 4 KiB of zeros, as a preallocated and never downloaded file.
    AllZeros,
    /// 4 KiB of random bytes.
    Noise,
    /// A JSON document without the length prefix.
    BareJson,
    /// A safetensors file in a gzip stream's first bytes.
    Gzip,
}

/// What stands at the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// A regular file with the bytes.
    #[default]
    File,
    /// Nothing.
    Missing,
    /// A directory.
    Directory,
    /// A named pipe that nobody writes to.
    Fifo,
    /// A file without read permission. The loader gets a process without root's power over modes.
    Unreadable,
    /// A symbolic link to the file.
    Symlink,
    /// A symbolic link to itself.
    SymlinkLoop,
    /// A symbolic link to nothing.
    DanglingSymlink,
}
