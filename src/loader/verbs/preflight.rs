//! Describes a device and compares it with a hardware profile.

use crate::contract::reply::DeviceInfo;
use crate::contract::request::{DeviceQuery, HardwareProfile};
use crate::contract::{Class, Device, Phase};
use crate::gpu;

use crate::loader::device::{Gpus, open_fault};
use crate::loader::error::{LoadError, Result};
use crate::loader::host_memory;
use crate::loader::remedies::Remedy;
use crate::loader::remedies::device_and_memory::{BELOW_COMPUTE_CAPABILITY, BELOW_MEMORY};

/// Queries the CUDA driver (for the host: the operating system) and compares the result with the
/// query's profile. Without a driver, a device or CUDA in this build, the result is an error with
/// the driver's message.
/// # Errors
/// `cuda_unavailable`, `invalid_device`, `compute_capability`, `vram_insufficient`.
pub fn describe(gpus: &mut Gpus, query: &DeviceQuery) -> Result<DeviceInfo> {
    let info = match query.device {
        Device::Cpu => host(),
        Device::Cuda(ordinal) => cuda(gpus, ordinal)?,
    };
    match &query.profile {
        Some(profile) => check(&info, profile).map(|()| info),
        None => Ok(info),
    }
}

/// Opens a device and compares it with a profile, outside of any loader.
///
/// # Errors
/// Those of [`describe`].
pub fn run_preflight_checks(device_id: u32, profile: &HardwareProfile) -> Result<DeviceInfo> {
    let query = DeviceQuery { device: Device::Cuda(device_id), profile: Some(profile.clone()) };
    describe(&mut Gpus::default(), &query)
}

/// Compares a device with a profile.
///
/// # Errors
/// `compute_capability` (also for the host, which has none), `vram_insufficient`.
pub fn check(info: &DeviceInfo, profile: &HardwareProfile) -> Result<()> {
    let short = |cause: Remedy, what: &str| {
        let message = format!("{} falls short of profile {}: {what}", info.name, profile.name);
        LoadError::new(Class::Device, Phase::Preflight, cause, message)
    };
    let (major, minor) = profile.compute_capability;
    if info.compute_capability.is_none_or(|actual| actual < (major, minor)) {
        let actual = info
            .compute_capability
            .map_or("none".to_string(), |(major, minor)| format!("{major}.{minor}"));
        return Err(short(BELOW_COMPUTE_CAPABILITY, "compute capability")
            .expected(format!("{major}.{minor} or above"), actual));
    }
    if info.total_bytes < profile.vram_bytes {
        return Err(short(BELOW_MEMORY, "device memory").expected(
            format!("{} bytes or more", profile.vram_bytes),
            format!("{} bytes", info.total_bytes),
        ));
    }
    Ok(())
}

fn cuda(gpus: &mut Gpus, ordinal: u32) -> Result<DeviceInfo> {
    let context = gpus.context(ordinal)?;
    let ask = || {
        let (free, total) = context.memory()?;
        Ok(DeviceInfo {
            device: Device::Cuda(ordinal),
            name: context.name()?,
            compute_capability: Some(context.compute_capability()?),
            total_bytes: total as u64,
            free_bytes: free as u64,
            uuid: Some(context.uuid()?),
            count: gpu::device_count()?,
        })
    };
    ask().map_err(|error| open_fault(ordinal, &error))
}

fn host() -> DeviceInfo {
    DeviceInfo {
        device: Device::Cpu,
        name: processor_name().unwrap_or_else(|| std::env::consts::ARCH.to_string()),
        compute_capability: None,
        total_bytes: host_memory::host_total().unwrap_or(0),
        free_bytes: host_memory::host_available().unwrap_or(0),
        uuid: None,
        count: 1,
    }
}

fn processor_name() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    fn device(compute_capability: Option<(u32, u32)>, total_bytes: u64) -> DeviceInfo {
        DeviceInfo { compute_capability, total_bytes, ..host() }
    }

    #[test]
    fn compares_with_the_profile() {
        let profile =
            HardwareProfile { name: "p".into(), compute_capability: (8, 6), vram_bytes: 1000 };
        let code = |info| check(&info, &profile).map_err(|error| error.code());
        assert_eq!(code(device(Some((8, 6)), 1000)), Ok(()));
        assert_eq!(code(device(Some((12, 0)), 1000)), Ok(()));
        assert_eq!(code(device(Some((8, 5)), 1000)), Err(Code::ComputeCapability));
        assert_eq!(code(device(None, 1000)), Err(Code::ComputeCapability));
        assert_eq!(code(device(Some((9, 0)), 999)), Err(Code::VramInsufficient));
    }

    #[test]
    fn describes_the_host() {
        let query = DeviceQuery { device: Device::Cpu, profile: None };
        let info = describe(&mut Gpus::default(), &query).unwrap();
        assert!(!info.name.is_empty() && info.total_bytes > info.free_bytes);
    }

    #[test]
    fn a_profile_that_is_not_met_is_told_with_what_was_found() {
        let profile =
            HardwareProfile { name: "p".into(), compute_capability: (8, 6), vram_bytes: 1000 };
        let query = DeviceQuery { device: Device::Cpu, profile: Some(profile.clone()) };
        let error = describe(&mut Gpus::default(), &query).expect_err("the host has none");
        let failure = error.failure();
        let told = (failure.expected.as_deref(), failure.actual.as_deref());
        assert_eq!((failure.class, told), (Class::Device, (Some("8.6 or above"), Some("none"))));
        let wanted = format!("{} falls short of profile p: compute capability", host().name);
        assert_eq!(failure.message, wanted);
        let error = check(&device(Some((9, 0)), 999), &profile).expect_err("too little memory");
        let failure = error.failure();
        let told = (failure.expected.as_deref(), failure.actual.as_deref());
        assert_eq!(told, (Some("1000 bytes or more"), Some("999 bytes")));
        if gpu::device_count().is_ok_and(|count| count > 0) {
            return; // Device tests cover a machine that has one.
        }
        let error = run_preflight_checks(0, &profile).expect_err("no device");
        assert_eq!((error.code(), error.phase()), (Code::CudaUnavailable, Phase::Preflight));
    }
}
