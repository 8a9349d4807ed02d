//! The judged: the bundled reference loader.
//!
//! There is one load path, [`load`](load::load): open, headers, stream (read, hash, gates, widen, place),
//! verify, admit. Everything public in this house, the [`ReferenceLoader`] that answers the contract as
//! well as the names that the source documents give, is a view over it. What this house never
//! does: read a file by mapping it (a file cut short under a map ends the process with SIGBUS,
//! which no loader can turn into an answer), fall back to another device, or look at the harness.

pub mod admit;
pub mod allocator;
pub mod cached;
pub mod checkpoint;
pub mod cuda;
pub mod digest;
pub mod embed;
pub mod error;
pub mod examine;
pub mod files;
pub mod foreign;
pub mod generate;
pub mod golden;
pub mod header;
pub mod infer;
pub mod inference;
pub mod load;
pub mod memory;
pub mod model;
mod pass;
pub mod preflight;
pub mod progress;
pub mod reference;
pub mod safetensors_cuda;
pub mod seal;
mod sealed;
pub mod shards;
pub mod source;
pub mod steps;
pub mod storage;
pub mod stream;
pub mod times;
pub mod warm;
pub mod weight_loader;
pub mod widen;
pub mod write;

pub use allocator::{CudarGpuAllocator, DevicePtr, GpuMemoryAllocator};
pub use error::LoadError;
pub use inference::{InferenceValidator, RealInferenceValidator};
pub use preflight::run_preflight_checks;
pub use reference::ReferenceLoader;
pub use safetensors_cuda::{SafeTensorsCudaLoader, SafeTensorsCudaModel};
pub use steps::{Honest, Steps};
pub use storage::{CudaStorage, GpuTensor};
pub use weight_loader::{
    LoadedModelWeights, SafeTensorsWeightLoader, TensorMetadata, WarmLoadResult, WeightLoader,
};
