//! Measures how much memory the loader's process and its family hold, and how much else of the machine, from
//! outside.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::contract::Device;
use crate::harness::client::memory::{of_family, reset_peak};
pub use crate::harness::client::memory::{peak_of_family as peak, share_of};

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

/// How many maps of these files the processes of a family have. A file is known by its inode and its name: in a
/// cell, another mount leads to it.
///
/// # Errors
/// If the maps of the first of them, the loader, may not be read. Others may end at any time.
pub fn maps_of<'f>(
    files: impl IntoIterator<Item = &'f PathBuf>,
    family: &[u32],
) -> Result<u64, String> {
    let inode = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some((metadata.ino(), path.file_name()?.to_string_lossy().into_owned()))
    };
    let files: BTreeSet<(u64, String)> = files.into_iter().filter_map(inode).collect();
    let mut count = 0;
    for (at, pid) in family.iter().enumerate() {
        let path = format!("/proc/{pid}/maps");
        match fs::read_to_string(&path) {
            Ok(text) => count += text.lines().filter(|line| is_map_of(line, &files)).count() as u64,
            Err(error) if at == 0 => return Err(format!("{path}: {error}")),
            Err(_) => {}
        }
    }
    Ok(count)
}

/// Whether a line of maps is one of these files: address, rights, offset, device, inode and path.
fn is_map_of(line: &str, files: &BTreeSet<(u64, String)>) -> bool {
    let mut words = line.splitn(6, ' ');
    let inode = words.nth(4).and_then(|word| word.parse::<u64>().ok());
    let path = words.next().unwrap_or_default().trim();
    let name = path.strip_suffix(" (deleted)").unwrap_or(path).rsplit('/').next();
    matches!((inode, name), (Some(inode), Some(name)) if files.contains(&(inode, name.to_owned())))
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
    fn a_map_of_a_file_is_counted_and_one_of_another_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let [own, other] = ["own", "other"].map(|name| folder.path().join(name));
        for path in [&own, &other] {
            fs::write(path, vec![1; 5000]).unwrap();
        }
        let family = [std::process::id()];
        assert_eq!(maps_of([&own, &other], &family), Ok(0));
        let file = fs::File::open(&own).unwrap();
        let length = std::num::NonZeroUsize::new(5000).unwrap();
        use nix::sys::mman::{MapFlags, ProtFlags, mmap};
        let (read, private) = (ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE);
        // SAFETY: the kernel chooses the place, and nothing reads the map.
        let _kept = unsafe { mmap(None, length, read, private, &file, 0) }.unwrap();
        assert_eq!(maps_of([&own, &other], &family), Ok(1));
        assert_eq!(maps_of([&other], &family), Ok(0));
        assert!(maps_of([&own], &[u32::MAX]).is_err());
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
