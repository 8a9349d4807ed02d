//! The judged: the bundled reference loader.
//!
//! There is one load path, [`load`](load::load): open, headers, stream (read, hash, gates, widen, place),
//! verify, admit. Everything public in this house, the [`ReferenceLoader`] that answers the contract as
//! well as the names that the source documents give, is a view over it. What this house never
//! does: read a file by mapping it (a file cut short under a map ends the process with SIGBUS,
//! which no loader can turn into an answer), fall back to another device, or look at the harness.

pub mod decisions;
pub mod device;
pub mod document_names;
pub mod error;
pub mod format;
pub mod gates;
pub mod host_memory;
pub mod infer;
pub mod load;
pub mod memory;
pub mod open;
pub mod progress;
pub mod read;
pub mod reference;
pub mod remedies;
pub mod seal;
pub mod verbs;
pub mod warm;

pub use self::decisions::{Honest, LoadDecisions};
pub use self::document_names::allocator::{CudarGpuAllocator, DevicePtr, GpuMemoryAllocator};
pub use self::document_names::inference::{InferenceValidator, RealInferenceValidator};
pub use self::document_names::safetensors_cuda::{SafeTensorsCudaLoader, SafeTensorsCudaModel};
pub use self::document_names::storage::{CudaStorage, GpuTensor};
pub use self::document_names::weight_loader::{
    LoadedModelWeights, SafeTensorsWeightLoader, TensorMetadata, WarmLoadResult, WeightLoader,
};
pub use self::error::LoadError;
pub use self::reference::ReferenceLoader;
pub use self::verbs::preflight::run_preflight_checks;
