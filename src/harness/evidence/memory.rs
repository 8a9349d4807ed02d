//! Measures how much memory the loader's process and its family hold, and how much else of the machine, from
//! outside.

use std::fs;

use crate::contract::Device;
use crate::harness::client::memory::{self, of_family, reset_peak};

/// Bytes that the processes of a family hold: device memory (from NVML) for a GPU run, resident host memory for a
/// CPU run.
///
/// NVML counts the CUDA context too (some hundred MiB), so only differences between two readings
/// are meaningful.
///
/// # Errors
/// Why the figure is not available.
pub fn held_by(family: &[u32], device: Device) -> Result<u64, String> {
    let on_card = |pid: &u32, ordinal| {
        crate::gpu::nvml::process_memory(*pid, ordinal)
            .map_err(|error| error.to_string())
            // A process without a CUDA context holds no memory on the device.
            .map(Option::unwrap_or_default)
    };
    match device {
        Device::Cpu => of_family(family),
        Device::Cuda(ordinal) => family.iter().map(|pid| on_card(pid, ordinal)).sum(),
    }
}

/// What the processes of a family use besides memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// Processes.
    pub processes: u64,
}

/// What the processes of a family use besides memory.
///
/// # Errors
/// If the first of them, the loader, cannot be looked at. Others may end at any time.
pub fn used_by(family: &[u32]) -> Result<Used, String> {
    let entries = |pid: u32, name: &str| {
        let path = format!("/proc/{pid}/{name}");
        let read = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"));
        read.map(|entries| entries.count() as u64)
    };
    let mut used = Used::default();
    for (at, pid) in family.iter().enumerate() {
        let found = entries(*pid, "fd").and_then(|open| Ok((open, entries(*pid, "task")?)));
        match found {
            Ok((descriptors, threads)) => {
                used.descriptors += descriptors;
                used.threads += threads;
                used.processes += 1;
            }
            Err(why) if at == 0 => return Err(why),
            Err(_) => {}
        }
    }
    Ok(used)
}

/// Host memory that programs can still get, in bytes; `None` if the kernel does not say.
pub fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Resets the peak of each process's resident host memory. Returns the current memory of the family, in bytes.
///
/// # Errors
/// Why the peak cannot be reset.
pub fn begin_peak(family: &[u32]) -> Result<u64, String> {
    family.iter().try_for_each(|pid| reset_peak(*pid))?;
    of_family(family)
}

/// The highest memory of a family since then: the peaks of its processes together, where each has its own.
///
/// # Errors
/// Why the figure of the first one is not available.
pub fn peak(family: &[u32]) -> Result<u64, String> {
    let Some((first, others)) = family.split_first() else { return Err("no process".to_owned()) };
    let peaks = others.iter().filter_map(|pid| memory::peak(*pid).ok());
    Ok(peaks.fold(memory::peak(*first)?, u64::saturating_add))
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
        assert!(held_by(&[u32::MAX], Device::Cpu).is_err());
        assert!(used_by(&[u32::MAX]).is_err() && peak(&[]).is_err());
    }

    #[test]
    fn a_descriptor_and_a_child_are_counted() {
        let own = [std::process::id()];
        let before = used_by(&own).unwrap();
        let open: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        // Other tests run beside this one.
        assert!(used_by(&own).unwrap().descriptors >= before.descriptors + 25);
        drop(open);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let both = used_by(&[own[0], child.id()]).unwrap();
        assert_eq!(both.processes, 2);
        assert!(held_by(&[own[0], child.id()], Device::Cpu).unwrap() > 0);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
