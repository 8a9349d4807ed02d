//! Measures how much memory the loader's process holds, from outside the process.

use std::fs;

use crate::contract::Device;
use crate::harness::client::memory::{reset_peak, resident};

pub use crate::harness::client::memory::peak;

/// Bytes that a process holds: device memory (from NVML) for a GPU run, resident host memory for a
/// CPU run.
///
/// NVML counts the CUDA context too (some hundred MiB), so only differences between two readings
/// are meaningful.
///
/// # Errors
/// Why the figure is not available.
pub fn held_by(pid: u32, device: Device) -> Result<u64, String> {
    match device {
        Device::Cpu => resident(pid),
        Device::Cuda(ordinal) => crate::gpu::nvml::process_memory(pid, ordinal)
            .map_err(|error| error.to_string())
            // A process without a CUDA context holds no memory on the device.
            .map(Option::unwrap_or_default),
    }
}

/// Host memory that programs can still get, in bytes; `None` if the kernel does not say.
pub fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Resets the peak of a process's resident host memory. Returns its current resident memory, in
/// bytes.
///
/// # Errors
/// Why the peak cannot be reset.
pub fn begin_peak(pid: u32) -> Result<u64, String> {
    reset_peak(pid)?;
    resident(pid)
}

/// Whether a process has mapped a file whose path contains `library`.
///
/// # Errors
/// If the process has ended, or its mappings may not be read.
pub fn has_mapped(pid: u32, library: &str) -> Result<bool, String> {
    let path = format!("/proc/{pid}/maps");
    let maps = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    Ok(maps.lines().any(|line| line.contains(library)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(held_by(u32::MAX, Device::Cpu).is_err());
    }
}
