//! Counts the bytes that processes have read, by the kernel's own counters.

use std::fs;

/// Bytes that the processes of a family have read by system calls since they began, from the page cache or from
/// a disk (`rchar` of `/proc/PID/io`). What a process reads through a map of a file is not counted.
///
/// # Errors
/// If the counters of the first of them, the loader, cannot be read. Others may end at any time.
pub fn read_by(family: &[u32]) -> Result<u64, String> {
    let mut sum = 0u64;
    for (at, pid) in family.iter().enumerate() {
        let path = format!("/proc/{pid}/io");
        let found = fs::read_to_string(&path)
            .map_err(|error| format!("{path}: {error}"))
            .and_then(|text| rchar(&text).ok_or_else(|| format!("{path}: no rchar")));
        match found {
            Ok(bytes) => sum = sum.saturating_add(bytes),
            Err(why) if at == 0 => return Err(why),
            Err(_) => {}
        }
    }
    Ok(sum)
}

fn rchar(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("rchar:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_reads_is_counted() {
        let own = std::process::id();
        let before = read_by(&[own]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), vec![1; 300_000]).unwrap();
        assert_eq!(fs::read(file.path()).unwrap().len(), 300_000);
        assert!(read_by(&[own]).unwrap() >= before + 300_000);
        assert!(read_by(&[u32::MAX]).unwrap_err().contains("/proc/4294967295/io"));
        assert_eq!(rchar("wchar: 1\nrchar: 12\n"), Some(12));
    }
}
