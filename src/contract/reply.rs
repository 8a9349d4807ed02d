//! Replies of a loader, one struct for each verb. They are claims, not evidence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::generation::Stop;
use super::inference::Output;
use super::parallel::RankPart;
use super::plan::{LoadTimes, MemoryPlan};
use super::{Capabilities, DType, Device};

/// Any answer to a request that was served.
// One reply is handled at a time, so its size does not matter.
#[expect(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// To [`Hello`](super::request::Hello).
    Hello(Introduction),
    /// To [`DeviceQuery`](super::request::DeviceQuery).
    Device(DeviceInfo),
    /// To [`Load`](super::request::Load).
    Load(Loaded),
    /// To [`Read`](super::request::Read).
    Read(Written),
    /// To [`Export`](super::request::Export).
    Export(Exported),
    /// To [`Stat`](super::request::Stat).
    Stat(Holdings),
    /// To [`Unload`](super::request::Unload).
    Unload(Done),
    /// To [`Synchronize`](super::request::Synchronize).
    Synchronize(Done),
    /// To [`Stream`](super::request::Stream).
    Stream(Written),
    /// To [`Multiply`](super::request::Multiply).
    Multiply(Written),
    /// To [`Forward`](super::request::Forward).
    Forward(Forwarded),
    /// To [`Validate`](super::request::Validate).
    Validate(Validated),
    /// To [`Generate`](super::request::Generate).
    Generate(Generated),
    /// To [`Bye`](super::request::Bye).
    Bye(Done),
}

impl Reply {
    /// The verb this answers, as the wire spells it.
    pub const fn verb(&self) -> &'static str {
        match self {
            Reply::Hello(_) => "hello",
            Reply::Device(_) => "device",
            Reply::Load(_) => "load",
            Reply::Read(_) => "read",
            Reply::Export(_) => "export",
            Reply::Stat(_) => "stat",
            Reply::Unload(_) => "unload",
            Reply::Synchronize(_) => "synchronize",
            Reply::Stream(_) => "stream",
            Reply::Multiply(_) => "multiply",
            Reply::Forward(_) => "forward",
            Reply::Validate(_) => "validate",
            Reply::Generate(_) => "generate",
            Reply::Bye(_) => "bye",
        }
    }
}

/// Who the loader is and what it can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introduction {
    /// Protocol version of the loader.
    pub protocol: u32,
    /// The harness's nonce, echoed.
    pub nonce: String,
    /// Name of the loader under test.
    pub name: String,
    /// Its version; never a branch name.
    pub version: String,
    /// Capabilities of the closed list. One that is left out is not claimed.
    pub capabilities: Capabilities,
}

/// Properties of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceInfo {
    /// The device asked for.
    pub device: Device,
    /// Marketing name from the driver.
    pub name: String,
    /// Compute capability as (major, minor); absent on the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_capability: Option<(u32, u32)>,
    /// Total memory, in bytes.
    pub total_bytes: u64,
    /// Free memory, in bytes.
    pub free_bytes: u64,
    /// UUID as the driver gives it (`GPU-...`); absent on the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// How many devices of this kind the process can see.
    pub count: u32,
}

/// A loaded model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loaded {
    /// Names the model in later requests.
    pub handle: u64,
    /// The device that the weights are on.
    pub device: Device,
    /// Size of the file, in bytes.
    pub file_bytes: u64,
    /// Whole-file SHA-256 of the bytes that were used; absent without the capability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Memory held for this model on its device, in bytes.
    pub held_bytes: u64,
    /// Every tensor.
    pub tensors: Vec<TensorEntry>,
    /// The header's `__metadata__`, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Every gate that ran or did not; empty without the capability or with `admit` off.
    #[serde(default)]
    pub gates: Vec<GateReport>,
    /// How the bytes were copied; absent for host memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// The memory that running the model takes; absent without the capability, and for a model that
    /// was not loaded to generate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<MemoryPlan>,
    /// Tensors of the file that the architecture does not use, by name; absent without the
    /// capability, and for a model that was not loaded to be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused: Option<Vec<String>>,
    /// Where the time went; absent without the capability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<LoadTimes>,
    /// What each rank holds, for a load that divides the model; empty for any other. `tensors` then lists what
    /// the files have, and `held_bytes` is the sum over all ranks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<RankPart>,
}

impl Loaded {
    /// A reply with these fields only: no digest, no metadata, no gates. Sizes in bytes.
    pub fn new(
        handle: u64,
        device: Device,
        file_bytes: u64,
        held_bytes: u64,
        tensors: Vec<TensorEntry>,
    ) -> Self {
        Loaded {
            handle,
            device,
            file_bytes,
            sha256: None,
            held_bytes,
            tensors,
            metadata: None,
            gates: Vec::new(),
            transfer: None,
            plan: None,
            unused: None,
            times: None,
            parts: Vec::new(),
        }
    }
}

/// One loaded tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorEntry {
    /// Name in the file.
    pub name: String,
    /// Element type in the file.
    pub stored: DType,
    /// Element type in memory.
    pub dtype: DType,
    /// Shape, outermost dimension first.
    pub shape: Vec<u64>,
    /// Bytes in memory.
    pub bytes: u64,
}

/// The data-quality gates, by the rule they serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// F-DATA-QUALITY-001: not too many zeros.
    Density,
    /// F-DATA-QUALITY-002: no NaN, no infinity.
    NonFinite,
    /// F-DATA-QUALITY-003: an L2 norm above 1e-6.
    Norm,
    /// F-DATA-QUALITY-003: not every value the same.
    Variation,
    /// F-DATA-QUALITY-004: no zeros at 10, 50 and 90 % of the tensor.
    SpotCheck,
}

impl Gate {
    /// Every gate.
    pub const ALL: [Gate; 5] =
        [Gate::Density, Gate::NonFinite, Gate::Norm, Gate::Variation, Gate::SpotCheck];
}

/// The counts of one gate. A gate that did not run has not passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateReport {
    /// Which gate.
    pub gate: Gate,
    /// Tensors that it checked.
    pub checked: u64,
    /// Tensors that it leaves out by rule (norms and biases, empty tensors).
    pub exempt: u64,
    /// Elements that it checked.
    pub elements: u64,
}

/// How bytes reached the device, as the loader reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Whether copies were asynchronous.
    pub asynchronous: bool,
    /// Whether the staging memory was page-locked.
    pub pinned: bool,
    /// Bytes copied.
    pub bytes: u64,
    /// Time from the first copy's start to the last one's end, in microseconds.
    pub copy_us: u64,
    /// Time that reserving device memory took, in microseconds.
    pub alloc_us: u64,
    /// Largest staging memory held at once, in bytes.
    pub staging_bytes: u64,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// The result of a forward pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forwarded {
    /// The file.
    pub written: Written,
    /// Where the model ran.
    pub device: Device,
    /// The output's kind and shape.
    pub output: Output,
    /// Time from the input in host memory to the output in host memory, in microseconds, without
    /// the time for files and for the protocol. Absent if the loader does not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_us: Option<u64>,
}

/// The result of a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generated {
    /// The tokens of the prompt that the model was given, special tokens included.
    pub prompt: Vec<u32>,
    /// The tokens that it generated. If it ended the sequence, the last one is the end token.
    pub tokens: Vec<u32>,
    /// Text of the generated tokens without special tokens, if the model was loaded with its
    /// tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why it stopped.
    pub stop: Stop,
    /// Where the model ran.
    pub device: Device,
    /// The file of logits, if the request asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Written>,
    /// Time from the input in host memory to the output in host memory, in microseconds, without
    /// the time for files and for the protocol. Absent if the loader does not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_us: Option<u64>,
}

/// The result of a validation that passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validated {
    /// How many values were compared.
    pub values: u64,
    /// Largest absolute difference.
    pub max_difference: f32,
    /// Index of the value that differs most.
    pub index: u64,
    /// Where the model ran.
    pub device: Device,
    /// How long that took, in microseconds; absent without the capability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_us: Option<u64>,
}

/// Exported device memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exported {
    /// Allocations, each with its handle.
    pub blocks: Vec<Block>,
    /// Where in the blocks each tensor lies.
    pub tensors: Vec<Placement>,
}

/// One device allocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// `CUipcMemHandle`, 64 bytes as 128 hex digits.
    pub ipc: String,
    /// Device pointer in the loader's process.
    pub pointer: u64,
    /// Size, in bytes.
    pub bytes: u64,
}

/// Where a tensor lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// The tensor.
    pub name: String,
    /// Index into the blocks; absent for a tensor without bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
    /// Offset in the block, in bytes.
    pub offset: u64,
    /// Size, in bytes.
    pub bytes: u64,
}

/// What the loader reports that it holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holdings {
    /// Loaded models.
    pub models: u64,
    /// Bytes of weights in host memory.
    pub host_bytes: u64,
    /// Bytes of weights in device memory.
    pub device_bytes: u64,
}

/// An empty reply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {}
