//! The public names that the source documents give, as thin types over the load path.

pub mod allocator;
pub mod inference;
pub mod safetensors_cuda;
pub mod storage;
pub mod weight_loader;
