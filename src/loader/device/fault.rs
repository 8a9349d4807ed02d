//! What a failed call of the driver means for a load.

use crate::contract::{Class, Code, Phase};
use crate::gpu::GpuError;
use crate::loader::error::LoadError;

/// What a failed call in the middle of work means.
pub fn fault(ordinal: u32, phase: Phase, error: &GpuError) -> LoadError {
    if error.is_unavailable() {
        return open_fault(ordinal, error);
    }
    if error.is_out_of_memory() {
        return LoadError::new(
            Class::Resource,
            Phase::Alloc,
            Code::OutOfDeviceMemory,
            format!("not enough memory on cuda:{ordinal} for the driver's own needs: {error}"),
        )
        .expected("free device memory", error)
        .remedy("unload other models, or use a device with more memory");
    }
    let lost = error.is_sticky();
    let remedy = if lost { "end this process and start again" } else { "see the driver's words" };
    let fault = LoadError::new(
        Class::Device,
        phase,
        Code::DeviceFault,
        format!("call failed on cuda:{ordinal}: {error}"),
    )
    .expected("success", error)
    .remedy(remedy);
    if lost { fault.poisoned() } else { fault }
}

/// What a device that cannot be opened means.
pub fn open_fault(ordinal: u32, error: &GpuError) -> LoadError {
    let device = |code: Code, message: String| {
        LoadError::new(Class::Device, Phase::Preflight, code, message)
    };
    if error.is_unavailable() {
        device(Code::CudaUnavailable, format!("no usable CUDA device: {error}"))
            .expected("a CUDA driver and a device", error)
            .remedy("install the NVIDIA driver, make a GPU visible, or ask for device cpu")
    } else if error.is_invalid_device() {
        let count = crate::gpu::device_count().unwrap_or(0);
        device(Code::InvalidDevice, format!("no CUDA device with ordinal {ordinal}: {error}"))
            .expected(format!("an ordinal below {count}"), ordinal)
            .remedy("choose another device, or check CUDA_VISIBLE_DEVICES")
    } else {
        fault(ordinal, Phase::Preflight, error)
    }
}

/// What it means that the kernels cannot be compiled.
pub(super) fn compile_fault(ordinal: u32, error: &GpuError) -> LoadError {
    if !error.is_unavailable() {
        return fault(ordinal, Phase::Preflight, error);
    }
    LoadError::new(
        Class::Device,
        Phase::Preflight,
        Code::CudaUnavailable,
        format!("the loader's kernels cannot be compiled: {error}"),
    )
    .expected("NVRTC, CUDA's run-time compiler", error)
    .remedy("install libnvrtc (it comes with the CUDA toolkit and with PyTorch), or load by the whole file's digest")
}

/// What it means that a ring cannot be made.
pub(super) fn staging_fault(ordinal: u32, error: &GpuError) -> LoadError {
    if error.is_out_of_memory() {
        let wanted = (crate::gpu::SLOTS * crate::gpu::SLOT_BYTES) as u64;
        let available = crate::loader::host_memory::host_available().unwrap_or(0);
        return LoadError::out_of_host_memory(wanted, available);
    }
    fault(ordinal, Phase::Alloc, error)
}
