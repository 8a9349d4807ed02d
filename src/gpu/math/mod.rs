//! Products of matrices on a device: cuBLAS and cuBLASLt.

pub mod blas;
pub mod products;
