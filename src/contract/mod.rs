//! The contract between judge and judged: the only floor both stand on.
//!
//! A loader answers *verbs* and reports *facts*; it never sees a case id, a requirement or an
//! expectation. The same contract has two forms, which must behave alike: the [`Loader`] trait in
//! process, and one JSON object a line over a child's stdin and stdout (see [`wire`]).
//! [`serve`](serve::serve) turns the first into the second.

pub mod capability;
pub mod decoder;
pub mod device;
pub mod dtype;
pub mod encoder;
pub mod failure;
pub mod loader;
pub mod plan;
pub mod registry;
pub mod reply;
pub mod request;
pub mod seal;
pub mod serve;
pub mod wire;

pub use capability::{Capabilities, Capability, Support};
pub use device::Device;
pub use dtype::DType;
pub use failure::{Class, Code, DeviceState, Effects, Failure, Phase};
pub use loader::Loader;
pub use serve::serve;

/// The protocol version that this build speaks.
pub const PROTOCOL: u32 = 1;
