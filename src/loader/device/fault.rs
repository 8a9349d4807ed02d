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
    use crate::contract::Code;
    use crate::gpu::Origin;

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

    fn driver(number: i32) -> GpuError {
        GpuError::reported(Origin::Driver, "cuTest", Some(number), "NAME", "text")
    }

    fn missing() -> GpuError {
        GpuError::reported(Origin::Missing, "cuInit", None, "LIBRARY_NOT_FOUND", "text")
    }

    #[test]
    fn an_error_of_a_call_says_whose_fault_it_is_and_what_is_lost() {
        let (device, preflight) = (Class::Device, Phase::Preflight);
        let call = "call failed on cuda:3: cuTest failed: NAME (1): text";
        let error = driver(1);
        let wanted = LoadError::new(device, Phase::Copy, DEVICE_CALL_FAILED, call);
        assert_eq!(fault(3, Phase::Copy, &error), wanted.expected("success", &error));
        let error = driver(700);
        let call = "call failed on cuda:3: cuTest failed: NAME (700): text";
        let wanted = LoadError::new(device, Phase::Infer, DEVICE_LOST, call);
        let wanted = wanted.expected("success", &error).poisoned();
        assert_eq!(fault(3, Phase::Infer, &error), wanted);
        let error = driver(2);
        let full = "not enough memory on cuda:3 for the driver's own needs";
        let wanted = LoadError::new(Class::Resource, Phase::Alloc, DEVICE_FULL, full);
        let wanted = wanted.expected("free device memory", &error);
        assert_eq!(fault(3, Phase::Infer, &error), wanted);
        let error = missing();
        let wanted = LoadError::new(device, preflight, NO_DRIVER, "no usable CUDA device");
        let wanted = wanted.expected("a CUDA driver and a device", &error);
        assert_eq!(fault(3, Phase::Copy, &error), wanted);
        assert_eq!(open_fault(3, &error), wanted);
        assert_eq!(open_fault(3, &driver(1)), fault(3, preflight, &driver(1)));
    }

    #[test]
    fn an_ordinal_without_a_device_is_told_with_the_number_of_devices() {
        let count = crate::gpu::device_count().unwrap_or(0);
        let error = open_fault(77, &driver(101));
        let cause = NO_SUCH_DEVICE.about([&count.to_string()]);
        let message = "no CUDA device with ordinal 77";
        let wanted = LoadError::new(Class::Device, Phase::Preflight, cause, message);
        assert_eq!(error, wanted.expected(format!("an ordinal below {count}"), 77));
    }

    #[test]
    fn a_missing_compiler_is_no_missing_device() {
        let error = missing();
        let message = "the loader's kernels cannot be compiled";
        let wanted = LoadError::new(Class::Device, Phase::Preflight, NO_COMPILER, message);
        let wanted = wanted.expected("NVRTC, CUDA's run-time compiler", &error);
        assert_eq!(compile_fault(0, &error), wanted);
        let error = GpuError::reported(Origin::Compiler, "nvrtc", Some(6), "NAME", "text");
        assert_eq!(compile_fault(0, &error), fault(0, Phase::Preflight, &error));
    }

    #[test]
    fn pinned_memory_is_short_because_of_the_host_or_of_the_driver() {
        let error = driver(2);
        let full = pinned_fault(0, &error, u64::MAX);
        let told = (full.code(), full.failure().requested_bytes);
        assert_eq!(told, (Code::OutOfHostMemory, Some(u64::MAX)));
        let refused = pinned_fault(0, &error, 1);
        let failure = refused.failure();
        assert_eq!(failure.message, "the driver gives no pinned memory: 1 bytes asked for");
        assert_eq!(failure.remedy.as_deref(), Some(PINNED_REFUSED.text));
        assert_eq!(failure.requested_bytes, Some(1));
        assert!(failure.available_bytes.is_some_and(|bytes| bytes > 1));
        assert_eq!(pinned_fault(0, &driver(1), 1), fault(0, Phase::Alloc, &driver(1)));
        let ring = (crate::gpu::SLOTS * crate::gpu::SLOT_BYTES) as u64;
        assert_eq!(staging_fault(0, &error).failure().requested_bytes, Some(ring));
    }
}
