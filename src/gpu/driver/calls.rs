//! The table of every C function that this module calls, with its error check.
//!
//! Each function has one line. The same table gives the checked call and the list of symbols to
//! probe before the first call. A function that is not in the table cannot be called, so every
//! function that is called was probed.
//!
//! The bindings give the types and, at compile time, check each line's signature. The calls do not
//! go through them, because they return a Rust enum: a status that a newer driver adds would be
//! undefined behaviour there, and here it is an error with an unknown name.

use cudarc::cublas::sys as blas_sys;
use cudarc::cublaslt::sys as lt_sys;
use cudarc::driver::sys as driver_sys;
use cudarc::nvrtc::sys as nvrtc_sys;

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

use super::error::GpuError;
pub(crate) use super::library::{BlasLoaded, CompilerLoaded, DriverLoaded, LightBlasLoaded};
pub(crate) use blas_sys::{cublasHandle_t, cublasMath_t, cublasOperation_t};
pub(crate) use driver_sys::{
    CUcontext, CUdevice, CUdevice_attribute, CUdeviceptr, CUevent, CUfunction,
    CUfunction_attribute, CUgraph, CUgraphExec, CUipcMemHandle, CUlaunchConfig, CUmodule,
    CUpointer_attribute, CUstream, CUstreamCaptureMode, CUtensorMap, CUtensorMapDataType,
    CUtensorMapFloatOOBfill, CUtensorMapInterleave, CUtensorMapL2promotion, CUtensorMapSwizzle,
    CUuuid,
};
pub(crate) use lt_sys::{
    cublasComputeType_t, cublasLtHandle_t, cublasLtMatmulAlgo_t, cublasLtMatmulDesc_t,
    cublasLtMatmulDescAttributes_t, cublasLtMatmulHeuristicResult_t, cublasLtMatmulPreference_t,
    cublasLtMatmulPreferenceAttributes_t, cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t,
    cudaDataType, cudaStream_t,
};
pub(crate) use nvrtc_sys::nvrtcProgram;

/// A token to call the CUDA driver, which is open and initialised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Driver(DriverLoaded);

impl Driver {
    /// Opens and initialises the driver. Cheap after the first time.
    pub(crate) fn load() -> Result<Driver, GpuError> {
        let driver = Driver(DriverLoaded::find(Self::SYMBOLS)?);
        // SAFETY: `cuInit` may be called by any thread any number of times; 0 is its only flag.
        unsafe { driver.cuInit(0) }?;
        Ok(driver)
    }
}

/// A token to call cuBLAS, which is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlasLibrary(BlasLoaded);

impl BlasLibrary {
    /// Opens the library. Cheap after the first time.
    pub(crate) fn load() -> Result<BlasLibrary, GpuError> {
        BlasLoaded::find(Self::SYMBOLS).map(BlasLibrary)
    }
}

/// A token to call cuBLASLt, which is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LightBlas(LightBlasLoaded);

impl LightBlas {
    /// Opens the library. Cheap after the first time.
    pub(crate) fn load() -> Result<LightBlas, GpuError> {
        LightBlasLoaded::find(Self::SYMBOLS).map(LightBlas)
    }
}

/// A token to call NVRTC, which compiles kernels. The library is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compiler(CompilerLoaded);

impl Compiler {
    /// Opens the library. Cheap after the first time.
    pub(crate) fn load() -> Result<Compiler, GpuError> {
        CompilerLoaded::find(Self::SYMBOLS).map(Compiler)
    }
}

macro_rules! calls {
    ($token:ident, $module:ident, $status:ident;
     $($symbol:ident($($argument:ident: $kind:ty),*);)*) => {
        #[expect(non_snake_case, reason = "the names are those of the C headers")]
        #[allow(clippy::too_many_arguments, reason = "the arguments are those of the C headers")]
        impl $token {
            const SYMBOLS: &'static [&'static str] = &[$(stringify!($symbol)),*];

            $(
                /// # Safety
                ///
                /// The same conditions as for the C function of this name.
                pub(crate) unsafe fn $symbol(self, $($argument: $kind),*) -> Result<(), GpuError> {
                    {
                        type Function = unsafe extern "C" fn($($kind),*) -> c_int;
                        const _: unsafe fn($($kind),*) -> $module::$status = $module::$symbol;
                        static FOUND: OnceLock<Function> = OnceLock::new();
                        let function = match FOUND.get() {
                            Some(function) => *function,
                            None => {
                                // SAFETY: the line above makes the compiler compare the signature
                                // with that of the bindings; a C enum returns as an `int`.
                                let found = unsafe { self.0.function(stringify!($symbol)) }?;
                                *FOUND.get_or_init(|| found)
                            }
                        };
                        // SAFETY: the caller vouches for the arguments.
                        let status = unsafe { function($($argument),*) };
                        self.0.check(stringify!($symbol), status)
                    }
                }
            )*
        }
    };
}

calls! { Driver, driver_sys, CUresult;
    cuInit(flags: c_uint);
    cuDriverGetVersion(version: *mut c_int);
    cuDeviceGetCount(count: *mut c_int);
    cuDeviceGet(device: *mut CUdevice, ordinal: c_int);
    cuDeviceGetName(name: *mut c_char, length: c_int, device: CUdevice);
    cuDeviceGetUuid_v2(uuid: *mut CUuuid, device: CUdevice);
    cuDeviceGetAttribute(value: *mut c_int, attribute: CUdevice_attribute, device: CUdevice);
    cuDevicePrimaryCtxRetain(context: *mut CUcontext, device: CUdevice);
    cuDevicePrimaryCtxRelease_v2(device: CUdevice);
    cuCtxSetCurrent(context: CUcontext);
    cuCtxSynchronize();
    cuDeviceCanAccessPeer(can: *mut c_int, device: CUdevice, peer: CUdevice);
    cuCtxEnablePeerAccess(peer: CUcontext, flags: c_uint);
    cuMemGetInfo_v2(free: *mut usize, total: *mut usize);
    cuMemAlloc_v2(pointer: *mut CUdeviceptr, bytes: usize);
    cuMemAllocManaged(pointer: *mut CUdeviceptr, bytes: usize, flags: c_uint);
    cuMemFree_v2(pointer: CUdeviceptr);
    cuMemGetAddressRange_v2(base: *mut CUdeviceptr, bytes: *mut usize, pointer: CUdeviceptr);
    cuMemHostAlloc(pointer: *mut *mut c_void, bytes: usize, flags: c_uint);
    cuMemFreeHost(pointer: *mut c_void);
    cuMemcpyHtoD_v2(to: CUdeviceptr, from: *const c_void, bytes: usize);
    cuMemcpyDtoH_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize);
    cuMemcpyHtoDAsync_v2(to: CUdeviceptr, from: *const c_void, bytes: usize, stream: CUstream);
    cuMemcpyDtoHAsync_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize, stream: CUstream);
    cuMemsetD8_v2(to: CUdeviceptr, byte: u8, bytes: usize);
    cuStreamCreate(stream: *mut CUstream, flags: c_uint);
    cuStreamDestroy_v2(stream: CUstream);
    cuStreamSynchronize(stream: CUstream);
    cuStreamWaitEvent(stream: CUstream, event: CUevent, flags: c_uint);
    cuEventCreate(event: *mut CUevent, flags: c_uint);
    cuEventDestroy_v2(event: CUevent);
    cuEventRecord(event: CUevent, stream: CUstream);
    cuEventSynchronize(event: CUevent);
    cuEventElapsedTime_v2(milliseconds: *mut f32, start: CUevent, end: CUevent);
    cuModuleLoadData(module: *mut CUmodule, image: *const c_void);
    cuModuleUnload(module: CUmodule);
    cuModuleGetFunction(function: *mut CUfunction, module: CUmodule, name: *const c_char);
    cuLaunchKernel(
        function: CUfunction, grid_x: c_uint, grid_y: c_uint, grid_z: c_uint, block_x: c_uint,
        block_y: c_uint, block_z: c_uint, shared_bytes: c_uint, stream: CUstream,
        arguments: *mut *mut c_void, extra: *mut *mut c_void
    );
    cuLaunchKernelEx(
        launch: *const CUlaunchConfig, function: CUfunction, arguments: *mut *mut c_void,
        extra: *mut *mut c_void
    );
    cuTensorMapEncodeTiled(
        map: *mut CUtensorMap, element: CUtensorMapDataType, dimensions: c_uint,
        address: *mut c_void, sizes: *const u64, row_bytes: *const u64, of_box: *const c_uint,
        steps: *const c_uint, interleave: CUtensorMapInterleave, swizzle: CUtensorMapSwizzle,
        promotion: CUtensorMapL2promotion, outside: CUtensorMapFloatOOBfill
    );
    cuFuncGetAttribute(value: *mut c_int, attribute: CUfunction_attribute, function: CUfunction);
    cuFuncSetAttribute(function: CUfunction, attribute: CUfunction_attribute, value: c_int);
    cuStreamBeginCapture_v2(stream: CUstream, mode: CUstreamCaptureMode);
    cuStreamEndCapture(stream: CUstream, graph: *mut CUgraph);
    cuGraphInstantiateWithFlags(executable: *mut CUgraphExec, graph: CUgraph, flags: u64);
    cuGraphLaunch(executable: CUgraphExec, stream: CUstream);
    cuGraphDestroy(graph: CUgraph);
    cuGraphExecDestroy(executable: CUgraphExec);
    cuIpcGetMemHandle(handle: *mut CUipcMemHandle, pointer: CUdeviceptr);
    cuIpcOpenMemHandle_v2(pointer: *mut CUdeviceptr, handle: CUipcMemHandle, flags: c_uint);
    cuIpcCloseMemHandle(pointer: CUdeviceptr);
    cuPointerGetAttribute(value: *mut c_void, attribute: CUpointer_attribute, pointer: CUdeviceptr);
    cuPointerGetAttributes(
        count: c_uint, attributes: *mut CUpointer_attribute, values: *mut *mut c_void,
        pointer: CUdeviceptr
    );
}

calls! { BlasLibrary, blas_sys, cublasStatus_t;
    cublasCreate_v2(handle: *mut cublasHandle_t);
    cublasDestroy_v2(handle: cublasHandle_t);
    cublasSetMathMode(handle: cublasHandle_t, mode: cublasMath_t);
    cublasSgemm_v2(
        handle: cublasHandle_t, a_form: cublasOperation_t, b_form: cublasOperation_t, m: c_int,
        n: c_int, k: c_int, alpha: *const f32, a: *const f32, a_stride: c_int, b: *const f32,
        b_stride: c_int, beta: *const f32, c: *mut f32, c_stride: c_int
    );
}

calls! { LightBlas, lt_sys, cublasStatus_t;
    cublasLtCreate(handle: *mut cublasLtHandle_t);
    cublasLtDestroy(handle: cublasLtHandle_t);
    cublasLtMatmulDescCreate(
        description: *mut cublasLtMatmulDesc_t, compute: cublasComputeType_t, scale: cudaDataType
    );
    cublasLtMatmulDescSetAttribute(
        description: cublasLtMatmulDesc_t, attribute: cublasLtMatmulDescAttributes_t,
        value: *const c_void, bytes: usize
    );
    cublasLtMatmulDescDestroy(description: cublasLtMatmulDesc_t);
    cublasLtMatrixLayoutCreate(
        layout: *mut cublasLtMatrixLayout_t, kind: cudaDataType, rows: u64, columns: u64, stride: i64
    );
    cublasLtMatrixLayoutSetAttribute(
        layout: cublasLtMatrixLayout_t, attribute: cublasLtMatrixLayoutAttribute_t,
        value: *const c_void, bytes: usize
    );
    cublasLtMatrixLayoutDestroy(layout: cublasLtMatrixLayout_t);
    cublasLtMatmulPreferenceCreate(preference: *mut cublasLtMatmulPreference_t);
    cublasLtMatmulPreferenceSetAttribute(
        preference: cublasLtMatmulPreference_t, attribute: cublasLtMatmulPreferenceAttributes_t,
        value: *const c_void, bytes: usize
    );
    cublasLtMatmulPreferenceDestroy(preference: cublasLtMatmulPreference_t);
    cublasLtMatmulAlgoGetHeuristic(
        handle: cublasLtHandle_t, description: cublasLtMatmulDesc_t, a: cublasLtMatrixLayout_t,
        b: cublasLtMatrixLayout_t, c: cublasLtMatrixLayout_t, d: cublasLtMatrixLayout_t,
        preference: cublasLtMatmulPreference_t, wanted: c_int,
        results: *mut cublasLtMatmulHeuristicResult_t, found: *mut c_int
    );
    cublasLtMatmul(
        handle: cublasLtHandle_t, description: cublasLtMatmulDesc_t, alpha: *const c_void,
        a: *const c_void, a_layout: cublasLtMatrixLayout_t, b: *const c_void,
        b_layout: cublasLtMatrixLayout_t, beta: *const c_void, c: *const c_void,
        c_layout: cublasLtMatrixLayout_t, d: *mut c_void, d_layout: cublasLtMatrixLayout_t,
        algorithm: *const cublasLtMatmulAlgo_t, workspace: *mut c_void, workspace_bytes: usize,
        stream: cudaStream_t
    );
}

calls! { Compiler, nvrtc_sys, nvrtcResult;
    nvrtcVersion(major: *mut c_int, minor: *mut c_int);
    nvrtcCreateProgram(
        program: *mut nvrtcProgram, source: *const c_char, name: *const c_char, headers: c_int,
        header_sources: *const *const c_char, header_names: *const *const c_char
    );
    nvrtcCompileProgram(program: nvrtcProgram, count: c_int, options: *const *const c_char);
    nvrtcGetCUBINSize(program: nvrtcProgram, bytes: *mut usize);
    nvrtcGetCUBIN(program: nvrtcProgram, image: *mut c_char);
    nvrtcGetProgramLogSize(program: nvrtcProgram, bytes: *mut usize);
    nvrtcGetProgramLog(program: nvrtcProgram, log: *mut c_char);
    nvrtcDestroyProgram(program: *mut nvrtcProgram);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cublas_is_found_or_its_absence_explained() {
        let told = BlasLibrary::load().map(drop);
        // Either it opened, or the error names the reason: the missing file.
        let explained = |error: &GpuError| error.is_unavailable() && error.text.contains("cublas");
        assert!(told.as_ref().map_or_else(explained, |()| true), "{told:?}");
    }
}
