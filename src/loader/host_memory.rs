//! Host memory: how much is available, and allocation that returns an error when memory is short.

use crate::loader::error::{LoadError, Result};

/// Bytes of an allocation that is always tried.
const SMALL: u64 = 1 << 20;

/// Allocates zeroed host memory. Refuses more than is available: Linux overcommits memory, so it
/// would grant the request and kill the process later, when the pages are first used.
///
/// # Errors
/// `out_of_host_memory`.
pub fn host_bytes(bytes: u64) -> Result<Vec<u8>> {
    let free = || host_available().unwrap_or(u64::MAX);
    // To ask takes longer than to allocate a few bytes.
    let available = if bytes <= SMALL { u64::MAX } else { free() };
    let wanted = usize::try_from(bytes).ok().filter(|_| bytes <= available);
    let wanted = wanted.ok_or_else(|| LoadError::out_of_host_memory(bytes, available))?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(wanted).map_err(|_| {
        let left = address_space_left().unwrap_or(u64::MAX).min(free());
        LoadError::out_of_host_memory(bytes, left)
    })?;
    memory.resize(wanted, 0);
    Ok(memory)
}

/// Host memory that can be used without swapping, in bytes: the kernel's estimate.
pub fn host_available() -> Option<u64> {
    meminfo("MemAvailable:")
}

/// All host memory, in bytes.
pub fn host_total() -> Option<u64> {
    meminfo("MemTotal:")
}

/// Address space that this process may still use, in bytes; `None` if it has no limit.
fn address_space_left() -> Option<u64> {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
    let (limit, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    if limit == RLIM_INFINITY {
        return None;
    }
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(limit.saturating_sub(kibibytes(&text, "VmSize:")?))
}

fn meminfo(field: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    kibibytes(&text, field)
}

/// Returns a field of `/proc/meminfo` or `/proc/self/status`, such as `MemTotal:  1024 kB`, in
/// bytes.
fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    #[test]
    fn refuses_more_than_there_is() {
        let error = host_bytes(1 << 60).unwrap_err();
        assert_eq!(error.code(), Code::OutOfHostMemory);
        assert_eq!(error.failure().requested_bytes, Some(1 << 60));
        assert!(error.failure().available_bytes.is_some_and(|bytes| bytes < 1 << 60));
    }

    #[test]
    fn memory_is_zeroed_and_as_long_as_asked_for() {
        assert_eq!(host_bytes(3), Ok(vec![0; 3]));
        assert!(host_total().expect("a total") >= host_available().expect("an estimate"));
    }

    #[test]
    fn a_field_is_read_only_in_kibibytes() {
        let text =
            "MemTotal:       1024 kB\nMemFree: 7\nMemBad: x kB\nVmSize:\t18446744073709551615 kB\n";
        for (field, bytes) in [
            ("MemTotal:", Some(1 << 20)),
            ("MemFree:", None),
            ("MemBad:", None),
            ("VmSize:", None),
            ("Swap:", None),
        ] {
            assert_eq!(kibibytes(text, field), bytes, "{field}");
        }
    }

    #[test]
    fn an_address_space_that_is_full_is_told_with_what_is_left_of_it() {
        use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
        // The limit holds for a whole process: one of its own sets it.
        const INSIDE: &str = "WEIGHBRIDGE_TEST_INSIDE";
        if std::env::var_os(INSIDE).is_none() {
            let limit = getrlimit(Resource::RLIMIT_AS).expect("a limit").0;
            assert_eq!(address_space_left().is_none(), limit == RLIM_INFINITY);
            let name = "loader::host_memory::tests::\
                an_address_space_that_is_full_is_told_with_what_is_left_of_it";
            let mut own = std::process::Command::new(std::env::current_exe().expect("a path"));
            let ended = own.args(["--exact", name]).env(INSIDE, "1").output().expect("runs");
            let told = String::from_utf8_lossy(&ended.stdout);
            assert!(ended.status.success() && told.contains("1 passed"), "{told}");
            return;
        }
        let text = std::fs::read_to_string("/proc/self/status").expect("readable");
        let used = kibibytes(&text, "VmSize:").expect("a size");
        let (_, most) = getrlimit(Resource::RLIMIT_AS).expect("a limit");
        let room = 128 << 20;
        setrlimit(Resource::RLIMIT_AS, used + room, most).expect("set");
        let left = address_space_left().expect("a limit");
        assert!(left <= room, "{left}");
        let error = host_bytes(room + 1).expect_err("no room");
        let failure = error.failure();
        assert_eq!(
            (failure.code, failure.requested_bytes),
            (Code::OutOfHostMemory, Some(room + 1))
        );
        assert!(failure.available_bytes.is_some_and(|bytes| bytes <= room), "{failure:?}");
    }
}
