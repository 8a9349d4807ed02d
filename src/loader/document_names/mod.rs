//! Public types with the names of the source documents. Each is a thin layer over the load path.

pub mod allocator;
pub mod inference;
pub mod safetensors_cuda;
pub mod storage;
pub mod weight_loader;
