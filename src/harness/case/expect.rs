//! The result that a step must have. Errors are compared by kind, never by wording.

use serde::Deserialize;

use crate::contract::{Class, Code, DType, Phase};

/// What a load must come to.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadOutcome {
    /// It succeeds, and these claims hold.
    Loaded(Vec<LoadCheck>),
    /// It is refused, the process lives on, and nothing stays behind.
    Refused(Refusal),
    /// Both are right: it succeeds and these claims hold, or it is refused like this. After a
    /// refusal, later steps with this model are left out.
    Either(Either),
    /// The file changes under the load. Either a refusal with one of these codes, or one whole
    /// file, old or new: digest and bytes must belong to the same one.
    OneOf(Vec<Code>),
}

/// A load that a loader may serve or refuse.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Either {
    /// The claims that hold if it succeeds.
    pub loaded: Vec<LoadCheck>,
    /// How it is refused if it is.
    pub refused: Refusal,
}

/// A claim of the load's reply that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadCheck {
    /// The weights are on the device asked for, by the reply's own word.
    Device,
    /// Names, element types, shapes and sizes are the file's.
    Table,
    /// The digest is the file's SHA-256, computed by the harness.
    Sha256,
    /// `__metadata__` is the file's.
    Metadata,
    /// Every gate ran over every tensor and element that the harness counts.
    Gates,
    /// Held bytes lie between the tensors' bytes and 2 % above (plus one 2 MiB page).
    Held,
    /// Copies are declared pinned and asynchronous, through a small staging ring.
    Transfer,
    /// The plan of memory is there; weights, cache and device memory are what the harness's own
    /// formulas give.
    Plan,
    /// By that plan the model is held whole.
    Whole,
    /// By that plan it is streamed, and holds no more of its weights than that needs.
    Streamed,
    /// Just those tensors are named as unused that the case's damage added.
    Unused,
    /// The loader's own times of the steps add up to the time by the harness's clock.
    Times,
}

/// How a request must be refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Whose fault.
    pub class: Class,
    /// Any of these phases; empty: any phase.
    #[serde(default)]
    pub phase: Vec<Phase>,
    /// Any of these codes. A broader code ([`Code::family`]) also counts, unless `exact`.
    pub code: Vec<Code>,
    /// Whether only the listed codes count.
    #[serde(default)]
    pub exact: bool,
    /// The element type that must be named.
    #[serde(default)]
    pub dtype: Option<DType>,
    /// The tensor that must be named.
    #[serde(default)]
    pub tensor: Option<String>,
    /// Texts that must stand somewhere in the failure, in capitals or not: a name of a field, of a
    /// tensor or of a file.
    #[serde(default)]
    pub mentions: Vec<String>,
    /// Texts of which one must stand there, where programs may name either.
    #[serde(default)]
    pub mentions_one_of: Vec<String>,
    /// Whether the message must be there with expected, actual and remedy filled in, or, where
    /// memory ran out, the bytes asked for and the bytes there were.
    #[serde(default)]
    pub clear: bool,
    /// The file whose tensors' bytes must have been asked for, within 2 % and a page.
    #[serde(default)]
    pub asked_for: Option<String>,
    /// Whether the bytes that it says were there must be what the ballast leaves, and fewer than those
    /// asked for.
    #[serde(default)]
    pub full_card: bool,
    /// Whether the driver's own words must be in it: a library's or an error's name.
    #[serde(default)]
    pub driver_words: bool,
}

impl Refusal {
    /// Whether it says only that there is no CUDA. Any loader can refuse so, also one that has no CUDA at
    /// all.
    pub fn is_absent_cuda(&self) -> bool {
        self.code == [Code::CudaUnavailable] && !self.driver_words
    }

    /// Whether only a loader with data-quality gates can refuse like this.
    pub fn concerns_gates(&self) -> bool {
        self.code
            .iter()
            .any(|code| *code == Code::GateFailed || code.family() == Some(Code::GateFailed))
    }
}

/// Bounds on a measured number.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// At least so many payload sizes.
    #[serde(default)]
    pub least_payload: Option<f64>,
    /// At most so many payload sizes...
    #[serde(default)]
    pub most_payload: Option<f64>,
    /// ...plus so many MiB.
    #[serde(default)]
    pub plus_mib: u64,
}

/// What a device must say of itself; each is compared with what the driver tells the harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceCheck {
    /// A name, the one the driver gives.
    Name,
    /// Total memory above zero, the driver's figure.
    Memory,
    /// Compute capability, the driver's figure.
    ComputeCapability,
    /// At least one device, as many as the driver lists.
    Count,
    /// The UUID, the driver's.
    Uuid,
    /// Under that UUID NVML lists a card of that name, with at least that memory and at most a
    /// twentieth more.
    Listed,
}

/// What a device query must come to.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceOutcome {
    /// It succeeds, and these facts hold.
    Facts(Vec<DeviceCheck>),
    /// It is refused.
    Refused(Refusal),
}
