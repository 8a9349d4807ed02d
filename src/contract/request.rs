//! What the harness may ask, one struct a verb.
//!
//! On the wire a request is `{"id":7,"request":{"load":{"path":"/tmp/x/9f2c","device":"cpu"}}}`.
//! Unknown verbs and unknown fields are refused with `invalid_request`, never ignored: an ignored
//! option is a check that did not happen.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Device;
use super::generation::{Prompt, Sampling};
use super::inference::{Inference, Input};

/// Any request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// First message: who are you, what can you do?
    Hello(Hello),
    /// What is this device?
    Device(DeviceQuery),
    /// Load a file.
    Load(Load),
    /// Write a model's tensors to a file.
    Read(Read),
    /// Hand out a model's device memory.
    Export(Export),
    /// What do you hold?
    Stat(Stat),
    /// Let a model go.
    Unload(Unload),
    /// Wait until the device is idle.
    Synchronize(Synchronize),
    /// Create a stream, copy on it, destroy it.
    Stream(Stream),
    /// Multiply two loaded matrices with the vendor's BLAS.
    Multiply(Multiply),
    /// Run a model on an input.
    Forward(Forward),
    /// Run a model against a golden reference.
    Validate(Validate),
    /// Go on from a prompt.
    Generate(Generate),
    /// Leave.
    Bye(Bye),
}

impl Request {
    /// The verb as the wire spells it.
    pub const fn verb(&self) -> &'static str {
        match self {
            Request::Hello(_) => "hello",
            Request::Device(_) => "device",
            Request::Load(_) => "load",
            Request::Read(_) => "read",
            Request::Export(_) => "export",
            Request::Stat(_) => "stat",
            Request::Unload(_) => "unload",
            Request::Synchronize(_) => "synchronize",
            Request::Stream(_) => "stream",
            Request::Multiply(_) => "multiply",
            Request::Forward(_) => "forward",
            Request::Validate(_) => "validate",
            Request::Generate(_) => "generate",
            Request::Bye(_) => "bye",
        }
    }
}

/// Opens the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Protocol version of the harness.
    pub protocol: u32,
    /// To be echoed, so that a recorded answer does not pass for a live one.
    pub nonce: String,
    /// Folder that bulk answers may be written to.
    pub scratch: PathBuf,
}

/// Asks for a device's name, capability and memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceQuery {
    /// Which device.
    pub device: Device,
    /// Refuse if the device falls short of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<HardwareProfile>,
}

/// The least a device must offer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareProfile {
    /// The profile's name, for messages.
    pub name: String,
    /// Least compute capability, as (major, minor).
    pub compute_capability: (u32, u32),
    /// Least total device memory, in bytes.
    pub vram_bytes: u64,
}

/// What element type a load keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// As stored in the file.
    #[default]
    Stored,
    /// F16 and BF16 widened to F32.
    F32,
}

/// The form of a model's file. It is said, never guessed from the file's first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Safetensors: tensors alone, one file or the index of several.
    #[default]
    Safetensors,
    /// GGUF, one file: tensors, configuration, and tokenizer and chat template where it has them.
    Gguf,
    /// APR version 2, one file: the same.
    Apr,
}

impl Format {
    /// Whether it is the one that is meant where none is named.
    pub fn is_usual(&self) -> bool {
        *self == Format::Safetensors
    }
}

/// Loads one file, or the shards that a safetensors index names.
///
/// A file that is not of the named format is refused. Weights of another format than safetensors
/// are turned and unpacked while they are loaded: the reply names them as Hugging Face does, each
/// row-major `[out, in]`; halves stay as they are stored, quantised blocks become F32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// The file.
    pub path: PathBuf,
    /// Its form.
    #[serde(default, skip_serializing_if = "Format::is_usual")]
    pub format: Format,
    /// Where the weights must land. A loader that cannot, fails; it never lands elsewhere.
    pub device: Device,
    /// What element type to keep.
    #[serde(default)]
    pub keep: Keep,
    /// Whole-file SHA-256 that the bytes must have, 64 lower-case hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_sha256: Option<String>,
    /// Seal that the bytes must match, in place of a hash over the whole file at load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
    /// Whether the data-quality gates decide on admission. Off, every bit pattern loads: transfer
    /// keeps NaN and infinity, admission refuses them.
    pub admit: bool,
    /// How the model is to be run, where it is. A model that is incomplete, or whose tensors
    /// contradict its configuration, is refused before any device is touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference: Option<Inference>,
}

impl Load {
    /// One safetensors file as it is stored, without pin, seal, gates or anything to run.
    pub fn plain(path: impl Into<PathBuf>, device: Device) -> Self {
        Load {
            path: path.into(),
            format: Format::Safetensors,
            device,
            keep: Keep::Stored,
            expect_sha256: None,
            seal: None,
            admit: false,
            inference: None,
        }
    }
}

/// A seal and its pin. The whole-file digest that the answer then names is the sealed one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The file that holds it; [`seal`](super::seal) says in what form.
    pub path: PathBuf,
    /// The SHA-256 that this file must have, 64 lower-case hex digits. A seal that is not pinned
    /// proves nothing: whoever can change the weights can write a new one.
    pub sha256: String,
}

/// Writes tensors to `into` as a safetensors file, in the element type that is loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The model.
    pub handle: u64,
    /// File to write, in the scratch folder.
    pub into: PathBuf,
}

/// Asks for CUDA IPC handles of a model's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The model.
    pub handle: u64,
}

/// Asks what the loader believes it holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stat {}

/// Frees a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unload {
    /// The model.
    pub handle: u64,
}

/// Waits for all work on a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Synchronize {
    /// The device.
    pub device: Device,
}

/// Creates a stream, sends a file's bytes to the device and back on it, and destroys it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The device.
    pub device: Device,
    /// File whose bytes make the round trip.
    pub path: PathBuf,
    /// How many round trips, one after the other. The memory is set up once.
    pub rounds: u32,
    /// File to write what came back to.
    pub into: PathBuf,
}

/// Computes C = A x B for two loaded F32 matrices, A of shape [m, k] and B of shape [k, n], both
/// row-major, without TF32, and writes C, named `c`, to `into` as a safetensors file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multiply {
    /// The model that holds both.
    pub handle: u64,
    /// Name of A.
    pub a: String,
    /// Name of B.
    pub b: String,
    /// File to write.
    pub into: PathBuf,
}

/// Runs a model that was loaded for inference, on the device that holds it, and writes the output that
/// its [head](super::inference::Head) makes to `into` as a safetensors file: one tensor, which has the
/// [name](super::inference::OutputKind::name) of the output's kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// The model.
    pub handle: u64,
    /// What it is given.
    pub input: Input,
    /// File to write.
    pub into: PathBuf,
    /// Whether the [states](super::inference::State) on the way are written too, each as F32 under its
    /// name behind [`TRACE`](super::inference::TRACE).
    #[serde(default)]
    pub trace: bool,
}

/// Runs a model that was loaded for inference on a golden input and compares with the golden output.
/// Both files are a little-endian u32 count and that many little-endian F32 values. A token model's
/// input holds the ids of one sentence, all of them tokens, as F32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validate {
    /// The model.
    pub handle: u64,
    /// `test_input.bin`.
    pub input: PathBuf,
    /// `golden_output.bin`.
    pub golden: PathBuf,
    /// Largest absolute difference that is allowed for any value.
    pub tolerance: f32,
}

/// Generates tokens behind a prompt, on the device that holds the model. Nothing of one generation
/// shows in the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// The model.
    pub handle: u64,
    /// What it goes on from.
    pub prompt: Prompt,
    /// Most tokens to generate, at least 1.
    pub limit: u32,
    /// How they are chosen.
    pub sampling: Sampling,
    /// File to write the [`LOGITS`](super::generation::LOGITS) of every step to, as safetensors, where
    /// they are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<PathBuf>,
}

/// Ends the conversation; the process then exits with 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bye {}
