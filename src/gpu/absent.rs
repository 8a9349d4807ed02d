//! What stands in for the libraries in a build without the `cuda` feature.
//!
//! The tokens are types without values, so nothing built on them can exist and no call can be
//! reached: the compiler, not a dummy, proves that such a build does no GPU work. The other types
//! only give the tables of [`calls`](super::driver::calls) something to name.
#![expect(non_camel_case_types, reason = "the names are those of the C headers")]

use std::ffi::{c_char, c_void};

use super::driver::error::GpuError;

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

/// cuBLASLt is never there.
#[derive(Clone, Copy, Debug)]
pub(super) enum LightBlasLoaded {}

impl LightBlasLoaded {
    pub(super) fn find(_symbols: &[&str]) -> Result<Self, GpuError> {
        Err(GpuError::not_built("cublasLtCreate"))
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

    pub(super) fn total_bytes(&self, _uuid: &str) -> Result<u64, GpuError> {
        match *self {}
    }

    pub(super) fn utilization(&self, _uuid: &str) -> Result<u32, GpuError> {
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
pub(super) type CUgraph = *mut c_void;
pub(super) type CUgraphExec = *mut c_void;
pub(super) type cudaStream_t = *mut c_void;
pub(super) type cublasLtHandle_t = *mut c_void;
pub(super) type cublasLtMatmulDesc_t = *mut c_void;
pub(super) type cublasLtMatrixLayout_t = *mut c_void;
pub(super) type cublasLtMatmulPreference_t = *mut c_void;

#[derive(Clone, Copy, Debug)]
pub(super) struct cublasLtMatmulAlgo_t;

#[derive(Clone, Copy, Debug)]
pub(super) struct cublasLtMatmulHeuristicResult_t {
    pub(super) algo: cublasLtMatmulAlgo_t,
}

#[derive(Clone, Copy)]
pub(super) enum CUfunction_attribute {
    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
    CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT,
}

#[derive(Clone, Copy)]
pub(super) enum CUstreamCaptureMode {
    CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
}

#[derive(Clone, Copy)]
pub(super) enum cublasComputeType_t {
    CUBLAS_COMPUTE_32F,
    CUBLAS_COMPUTE_32F_PEDANTIC,
}

#[derive(Clone, Copy)]
pub(super) enum cudaDataType {
    CUDA_R_16BF,
    CUDA_R_32F,
}

#[derive(Clone, Copy)]
pub(super) enum cublasLtMatmulDescAttributes_t {
    CUBLASLT_MATMUL_DESC_TRANSA,
    CUBLASLT_MATMUL_DESC_EPILOGUE,
    CUBLASLT_MATMUL_DESC_BIAS_POINTER,
}

#[derive(Clone, Copy)]
pub(super) enum cublasLtMatmulPreferenceAttributes_t {
    CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
}

#[derive(Clone, Copy)]
pub(super) enum cublasLtMatrixLayoutAttribute_t {
    CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
    CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
}

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
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
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

/// Launches are never made.
pub(super) struct CUlaunchConfig;
