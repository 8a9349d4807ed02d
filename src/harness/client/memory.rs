//! A process's resident memory, from `/proc/PID/status`.

use std::fs;

/// Current resident memory (`VmRSS`), in bytes; `None` if the process has ended.
pub(super) fn resident(pid: u32) -> Option<u64> {
    field(pid, "VmRSS:")
}

/// Largest resident memory since the last [`reset_peak`] (`VmHWM`), in bytes.
pub(super) fn peak(pid: u32) -> Option<u64> {
    field(pid, "VmHWM:")
}

/// Resets the peak. If the kernel does not permit it, the peak counts from the process's start.
pub(super) fn reset_peak(pid: u32) {
    // Writing 5 to this file resets only the high-water mark.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

fn field(pid: u32, label: &str) -> Option<u64> {
    parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, label)
}

fn parse(status: &str, label: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(label))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_table() {
        let status = "Name:\tsh\nVmHWM:\t    3480 kB\nVmRSS:\t    1200 kB\n";
        assert_eq!(parse(status, "VmHWM:"), Some(3480 * 1024));
        assert_eq!(parse(status, "VmRSS:"), Some(1200 * 1024));
        assert_eq!(parse("Name:\tsh\nState:\tZ (zombie)\n", "VmRSS:"), None);
    }

    #[test]
    fn sees_this_process() {
        let here = std::process::id();
        let peak = peak(here).unwrap();
        assert!(peak > 0 && resident(here).unwrap() > 0);
    }
}
