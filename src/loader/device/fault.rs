//! Converts errors of the CUDA driver to loader errors.

use crate::contract::{Class, Phase};
use crate::gpu::GpuError;
use crate::loader::error::LoadError;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::device_and_memory::{
    DEVICE_BUSY, DEVICE_CALL_FAILED, DEVICE_FULL, DEVICE_LOST, DRIVER_MISMATCH, DRIVER_STUB,
    NO_COMPILER, NO_DEVICE, NO_DRIVER, NO_SUCH_DEVICE, PINNED_REFUSED, SYSTEM_NOT_READY,
};

/// Converts the error of a driver call on an open device.
pub fn fault(ordinal: u32, phase: Phase, error: &GpuError) -> LoadError {
    if error.is_unavailable() {
        return open_fault(ordinal, error);
    }
    if error.is_out_of_memory() {
        let message = format!("not enough memory on cuda:{ordinal} for the driver's own needs");
        return LoadError::new(Class::Resource, Phase::Alloc, DEVICE_FULL, message)
            .expected("free device memory", error);
    }
    let lost = error.is_sticky();
    let cause = if lost { DEVICE_LOST } else { DEVICE_CALL_FAILED };
    let message = format!("call failed on cuda:{ordinal}: {error}");
    let fault = LoadError::new(Class::Device, phase, cause, message).expected("success", error);
    if lost { fault.poisoned() } else { fault }
}

/// Converts the error of opening a device.
pub fn open_fault(ordinal: u32, error: &GpuError) -> LoadError {
    if error.is_unavailable() {
        let cause = unavailable(error.code);
        LoadError::new(Class::Device, Phase::Preflight, cause, "no usable CUDA device")
            .expected("a CUDA driver and a device", error)
    } else if error.is_invalid_device() {
        let count = crate::gpu::device_count().unwrap_or(0);
        let cause = NO_SUCH_DEVICE.about([&count.to_string()]);
        let message = format!("no CUDA device with ordinal {ordinal}");
        LoadError::new(Class::Device, Phase::Preflight, cause, message)
            .expected(format!("an ordinal below {count}"), ordinal)
    } else {
        fault(ordinal, Phase::Preflight, error)
    }
}

/// The cause that belongs to the driver's error number. `None` means that no driver could be
/// called.
fn unavailable(code: Option<i32>) -> Remedy {
    match code {
        None => NO_DRIVER,
        Some(34) => DRIVER_STUB,
        Some(46) => DEVICE_BUSY,
        Some(802) => SYSTEM_NOT_READY,
        Some(803 | 804) => DRIVER_MISMATCH,
        Some(_) => NO_DEVICE,
    }
}

/// Converts the error of compiling kernels.
pub(super) fn compile_fault(ordinal: u32, error: &GpuError) -> LoadError {
    if !error.is_unavailable() {
        return fault(ordinal, Phase::Preflight, error);
    }
    let message = "the loader's kernels cannot be compiled";
    LoadError::new(Class::Device, Phase::Preflight, NO_COMPILER, message)
        .expected("NVRTC, CUDA's run-time compiler", error)
}

/// Converts the error of allocating `wanted` bytes of pinned host memory.
pub fn pinned_fault(ordinal: u32, error: &GpuError, wanted: u64) -> LoadError {
    if !error.is_out_of_memory() {
        return fault(ordinal, Phase::Alloc, error);
    }
    let available = crate::loader::host_memory::host_available().unwrap_or(0);
    if wanted > available {
        return LoadError::out_of_host_memory(wanted, available);
    }
    let message = format!("the driver gives no pinned memory: {wanted} bytes asked for");
    LoadError::new(Class::Resource, Phase::Alloc, PINNED_REFUSED, message)
        .expected(format!("{wanted} bytes of pinned memory"), error)
        .of_memory(wanted, available)
}

/// Converts the error of allocating a pinned ring.
pub(super) fn staging_fault(ordinal: u32, error: &GpuError) -> LoadError {
    pinned_fault(ordinal, error, (crate::gpu::SLOTS * crate::gpu::SLOT_BYTES) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_the_driver_has_its_remedy() {
        for (code, row) in [
            (None, NO_DRIVER),
            (Some(100), NO_DEVICE),
            (Some(34), DRIVER_STUB),
            (Some(46), DEVICE_BUSY),
            (Some(802), SYSTEM_NOT_READY),
            (Some(803), DRIVER_MISMATCH),
            (Some(804), DRIVER_MISMATCH),
        ] {
            assert_eq!(unavailable(code), row);
        }
    }
}
