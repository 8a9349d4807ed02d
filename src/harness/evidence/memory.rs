//! How much memory the loader's process holds, seen from outside.

use std::fs;

use crate::contract::Device;
use crate::harness::client::memory::{reset_peak, resident};

pub use crate::harness::client::memory::peak;

/// Bytes that a process holds: device memory by NVML for a GPU run, resident pages for a host run.
///
/// NVML counts the CUDA context too (some hundred MiB), so only differences mean anything.
///
/// # Errors
/// Why the figure is not to be had, as a sentence.
pub fn held_by(pid: u32, device: Device) -> Result<u64, String> {
    match device {
        Device::Cpu => resident(pid),
        Device::Cuda(ordinal) => crate::gpu::nvml::process_memory(pid, ordinal)
            .map_err(|error| error.to_string())
            // A process without a context holds nothing there.
            .map(Option::unwrap_or_default),
    }
}

/// Forgets the highest host memory that a process ever held. Returns what it holds now, in bytes.
///
/// # Errors
/// Why that is not to be had, as a sentence.
pub fn begin_peak(pid: u32) -> Result<u64, String> {
    reset_peak(pid)?;
    resident(pid)
}

/// Whether a process has a library mapped whose path contains this.
///
/// # Errors
/// Where the process is gone or not ours to look at.
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
