//! The bundled reference loader, which the judge tests.
//!
//! There is one load path, [`load`](load::load): open, headers, stream (read, hash, gates, widen,
//! place), verify, admit. All public types use this path: [`ReferenceLoader`], which answers the
//! contract, and the types with the names of the source documents.
//!
//! The loader never does three things. It does not map files: if a mapped file is cut short, the
//! process ends with SIGBUS, and no error can be returned. It does not fall back to another device.
//! It does not use the harness.

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
pub mod parallel;
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
