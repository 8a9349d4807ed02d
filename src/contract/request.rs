//! Requests of the harness, one struct for each verb.
//!
//! On the wire a request is `{"id":7,"request":{"load":{"path":"/tmp/x/9f2c","device":"cpu"}}}`. A
//! loader must refuse unknown verbs and unknown fields with `invalid_request`. If it ignored an
//! option, a check would silently not happen.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Device;
use super::generation::{Prompt, Sampling};
use super::inference::{Compute, Inference, Input};
use super::parallel::Parallel;

/// Any request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// First message: asks for the loader's name, version and capabilities.
    Hello(Hello),
    /// Describe a device.
    Device(DeviceQuery),
    /// Load a file.
    Load(Load),
    /// Write a model's tensors to a file.
    Read(Read),
    /// Export a model's device memory.
    Export(Export),
    /// Report the loaded models and the bytes that they hold.
    Stat(Stat),
    /// Free a model.
    Unload(Unload),
    /// Wait until the device is idle.
    Synchronize(Synchronize),
    /// Create a stream, copy on it, destroy it.
    Stream(Stream),
    /// Multiply two loaded matrices with the vendor's BLAS.
    Multiply(Multiply),
    /// Run a model on an input.
    Forward(Forward),
    /// Run a model and compare the output with a golden reference.
    Validate(Validate),
    /// Generate tokens after a prompt.
    Generate(Generate),
    /// End the session.
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

/// Starts the session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Protocol version of the harness.
    pub protocol: u32,
    /// The reply must repeat it, so that a recorded reply is not accepted as a live one.
    pub nonce: String,
    /// Folder in which the loader may write large results.
    pub scratch: PathBuf,
}

/// Asks for a device's name, capability and memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceQuery {
    /// Which device.
    pub device: Device,
    /// The loader must refuse a device that does not meet this profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<HardwareProfile>,
}

/// The minimum that a device must have.
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
pub enum DtypePolicy {
    /// As stored in the file.
    #[default]
    Stored,
    /// F16 and BF16 widened to F32.
    F32,
}

/// The format of a model's file. The request names it. A loader must not guess it from the file's
/// first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Safetensors: tensors alone, one file or the index of several.
    #[default]
    Safetensors,
    /// GGUF, one file: tensors, configuration, and tokenizer and chat template if it has them.
    Gguf,
    /// APR version 2, one file: the same contents.
    Apr,
}

impl Format {
    /// Whether it is the default format.
    pub fn is_usual(&self) -> bool {
        *self == Format::Safetensors
    }
}

/// Loads one file, or the shards that a safetensors index names.
///
/// The loader must refuse a file that is not of the named format. It converts the weights of other
/// formats than safetensors while it loads them. The reply gives them their Hugging Face names, and
/// each matrix is row-major `[out, in]`. F16 and BF16 values stay as they are stored, and quantised
/// blocks become F32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    #[serde(default, skip_serializing_if = "Format::is_usual")]
    pub format: Format,
    /// Where the weights must be loaded to. A loader that cannot load them there must fail, and
    /// must not use another device.
    pub device: Device,
    /// What element type to keep.
    #[serde(default)]
    pub keep: DtypePolicy,
    /// Whole-file SHA-256 that the bytes must have, 64 lower-case hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_sha256: Option<String>,
    /// Seal that the bytes must match, in place of a hash over the whole file at load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
    /// Whether the loader must refuse weights that break a data-quality gate. If false, every bit
    /// pattern loads, NaN and infinity included.
    pub admit: bool,
    /// How the model will be run; absent if it will not be run. The loader must refuse a model that
    /// is incomplete, or whose tensors contradict its configuration, before it uses any device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference: Option<Inference>,
    /// How the model is divided over ranks; absent if one device gets it whole. `device` is then that of the
    /// first rank, and `inference` names the configuration, from which the loader knows what each tensor is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<Parallel>,
}

impl Load {
    /// A load of one safetensors file as it is stored, without expected digest, seal, gates or
    /// inference.
    pub fn plain(path: impl Into<PathBuf>, device: Device) -> Self {
        Load {
            path: path.into(),
            format: Format::Safetensors,
            device,
            keep: DtypePolicy::Stored,
            expect_sha256: None,
            seal: None,
            admit: false,
            inference: None,
            parallel: None,
        }
    }

    /// The same load of a model that computes so. Without inference nothing computes.
    #[must_use]
    pub fn computing(mut self, compute: Compute) -> Self {
        if let Some(inference) = &mut self.inference {
            inference.compute = compute;
        }
        self
    }
}

/// A seal and its pinned digest. The reply then reports the whole-file digest that the seal holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The seal's file; [`seal`](super::seal) describes the format.
    pub path: PathBuf,
    /// The SHA-256 that this file must have, 64 lower-case hex digits. A seal without a pinned
    /// digest proves nothing, because a person who can change the weights can also write a new
    /// seal.
    pub sha256: String,
}

/// Writes tensors to `into` as a safetensors file, in the element types that they have in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The model.
    pub handle: u64,
    /// File to write, in the scratch folder.
    pub into: PathBuf,
    /// The rank whose part to write, if the model is divided. Each tensor then has the shape of its slice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<u32>,
}

/// Asks for CUDA IPC handles of a model's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The model.
    pub handle: u64,
    /// The rank whose part to export, if the model is divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<u32>,
}

/// Asks for the loaded models and the bytes that they hold.
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
    /// File to write the returned bytes to.
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

/// Runs a model that was loaded for inference, on the device that holds it, and writes the output
/// that its [head](super::inference::Head) makes to `into` as a safetensors file: one tensor, which
/// has the [name](super::inference::OutputKind::name) of the output's kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// The model.
    pub handle: u64,
    /// The input.
    pub input: Input,
    /// File to write.
    pub into: PathBuf,
    /// Whether to write the intermediate [states](super::inference::State) too, each as F32. The
    /// tensor's name is [`TRACE`](super::inference::TRACE) followed by the state's name.
    #[serde(default)]
    pub trace: bool,
}

/// Runs a model that was loaded for inference on a golden input and compares with the golden
/// output. Both files are a little-endian u32 count and that many little-endian F32 values. For a
/// model that takes tokens, the input holds the ids of one sentence as F32, without padding.
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

/// Generates tokens after a prompt, on the device that holds the model. A generation must not
/// affect the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generate {
    /// The model.
    pub handle: u64,
    /// The prompt.
    pub prompt: Prompt,
    /// Largest number of tokens to generate, at least 1.
    pub limit: u32,
    /// How the tokens are chosen.
    pub sampling: Sampling,
    /// Safetensors file for the [`LOGITS`](super::generation::LOGITS) of every step; absent if they
    /// are not needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<PathBuf>,
}

/// Ends the session. The process then exits with code 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bye {}
