//! The contract between the harness and a loader: requests, replies and failures.
//!
//! A loader answers *verbs* and reports *facts*. It never sees a case id, a requirement or an
//! expected result. The contract has two forms, which must behave in the same way: the [`Loader`]
//! trait within one process, and one JSON object per line over the stdin and stdout of a child
//! process (see [`wire`]). [`serve`](serve::serve) turns the first form into the second.

pub mod capability;
pub mod device;
pub mod dtype;
pub mod failure;
pub mod generation;
pub mod inference;
pub mod loader;
pub mod parallel;
pub mod plan;
pub mod registry;
pub mod reply;
pub mod request;
pub mod seal;
pub mod serve;
pub mod wire;

pub use self::capability::{Capabilities, Capability, Support};
pub use self::device::Device;
pub use self::dtype::DType;
pub use self::failure::{Class, Code, DeviceState, Effects, Failure, Phase};
pub use self::loader::Loader;
pub use self::serve::serve;

/// The protocol version that this build speaks.
pub const PROTOCOL: u32 = 2;

/// What changed in this version, for messages about a loader with the version before it.
pub const PROTOCOL_CHANGES: &str = "`embed` is now `forward`, its reply holds a tagged `output`, a head is \
     `embedding`, `token_states` or `logits`, and the capabilities `embed` and `forward` are now `embedding` \
     and `logits`";

/// Where the author of an adapter reads what to change.
pub const PROTOCOL_GUIDE: &str = "see \"What changed\" in adapters/README.md";
