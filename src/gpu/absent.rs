//! What stands in for the libraries in a build without the `cuda` feature.
//!
//! The tokens are types without values, so nothing built on them can exist and no call can be
//! reached: the compiler, not a dummy, proves that such a build does no GPU work. The other types
//! only give the tables of [`calls`](super::calls) something to name.
#![expect(non_camel_case_types, reason = "the names are those of the C headers")]

use std::ffi::{c_char, c_void};

use super::error::GpuError;

/// The driver is never there.
#[derive(Clone, Copy, Debug)]
pub(super) enum DriverLoaded {}

impl DriverLoaded {
    pub(super) fn find(_symbols: &[&str]) -> Result<Self, GpuError> {
        Err(GpuError::not_built("cuInit"))
    }
}

/// cuBLAS is never there.
#[derive(Clone, Copy, Debug)]
pub(super) enum BlasLoaded {}

impl BlasLoaded {
    pub(super) fn find(_symbols: &[&str]) -> Result<Self, GpuError> {
        Err(GpuError::not_built("cublasCreate_v2"))
    }
}

/// NVRTC is never there.
#[derive(Clone, Copy, Debug)]
pub(super) enum CompilerLoaded {}

impl CompilerLoaded {
    pub(super) fn find(_symbols: &[&str]) -> Result<Self, GpuError> {
        Err(GpuError::not_built("nvrtcCreateProgram"))
    }
}

/// NVML is never there.
#[derive(Debug)]
pub(super) enum Session {}

impl Session {
    pub(super) fn open() -> Result<&'static Self, GpuError> {
        Err(GpuError::not_built("nvmlInit_v2"))
    }

    pub(super) fn driver_version(&self) -> Result<String, GpuError> {
        match *self {}
    }

    pub(super) fn name(&self, _uuid: &str) -> Result<String, GpuError> {
        match *self {}
    }

    pub(super) fn used_bytes(&self, _uuid: &str) -> Result<u64, GpuError> {
        match *self {}
    }

    pub(super) fn process_bytes(&self, _uuid: &str, _pid: u32) -> Result<Option<u64>, GpuError> {
        match *self {}
    }
}

pub(super) type CUcontext = *mut c_void;
pub(super) type CUdevice = i32;
pub(super) type CUdeviceptr = u64;
pub(super) type CUevent = *mut c_void;
pub(super) type CUfunction = *mut c_void;
pub(super) type CUmodule = *mut c_void;
pub(super) type CUstream = *mut c_void;
pub(super) type cublasHandle_t = *mut c_void;
pub(super) type nvrtcProgram = *mut c_void;

#[derive(Clone, Copy)]
pub(super) struct CUipcMemHandle {
    pub(super) reserved: [c_char; 64],
}

#[derive(Clone, Copy)]
pub(super) struct CUuuid {
    pub(super) bytes: [c_char; 16],
}

#[derive(Clone, Copy)]
pub(super) enum CUdevice_attribute {
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
}

#[derive(Clone, Copy)]
pub(super) enum CUpointer_attribute {
    CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
    CU_POINTER_ATTRIBUTE_IS_MANAGED,
    CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
    CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE,
    CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
    CU_POINTER_ATTRIBUTE_RANGE_SIZE,
}

#[derive(Clone, Copy)]
pub(super) enum cublasMath_t {
    CUBLAS_PEDANTIC_MATH,
}

#[derive(Clone, Copy)]
pub(super) enum cublasOperation_t {
    CUBLAS_OP_N,
}
