//! The resident memory of a process and of all that it has started, from `/proc/PID/status` and
//! `/proc/PID/smaps_rollup`.

use std::fs;

/// Current resident memory (`VmRSS`), in bytes.
///
/// # Errors
/// Why the figure is not available. Usually the process has ended.
pub fn resident(pid: u32) -> Result<u64, String> {
    field(pid, "VmRSS:")
}

/// Largest resident memory since the last [`reset_peak`] (`VmHWM`), in bytes.
///
/// # Errors
/// As for [`resident`].
pub fn peak(pid: u32) -> Result<u64, String> {
    field(pid, "VmHWM:")
}

/// Current memory of several processes of one family, in bytes. Of all but the first, memory that they share
/// with others is divided among those, so that what a fork has in common with its parent counts once.
///
/// # Errors
/// As for [`resident`], of the first process. Others may end at any time.
pub fn of_family(pids: &[u32]) -> Result<u64, String> {
    let Some((first, others)) = pids.split_first() else { return Err("no process".to_owned()) };
    Ok(others.iter().map(|pid| share_of(*pid)).fold(resident(*first)?, u64::saturating_add))
}

/// What a family held at least when one of its processes had its peak, in bytes: the highest peak since the last
/// [`reset_peak`], and what the others hold now. Memory that they share counts as in [`of_family`]. Peaks are not
/// added up: the kernel does not say when each was.
///
/// # Errors
/// As for [`resident`], of the first process. Others may end at any time.
pub fn peak_of_family(pids: &[u32]) -> Result<u64, String> {
    let Some((first, others)) = pids.split_first() else { return Err("no process".to_owned()) };
    let held = of_family(pids)?;
    let above =
        |pid: &u32| -> Result<u64, String> { Ok(peak(*pid)?.saturating_sub(resident(*pid)?)) };
    let of_others = others.iter().filter_map(|pid| above(pid).ok());
    Ok(held.saturating_add(of_others.fold(above(first)?, u64::max)))
}

/// What a process holds, in bytes: resident memory, of which a part that others share is divided among them. None
/// of a process that has ended.
pub fn share_of(pid: u32) -> u64 {
    share(pid).or_else(|_| resident(pid)).unwrap_or(0)
}

fn share(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    parse(&text, "Pss:").ok_or_else(|| format!("{path}: no Pss line"))
}

/// Resets the peak to the current resident memory.
///
/// # Errors
/// If the kernel does not permit it. The peak then counts from the process's start.
pub fn reset_peak(pid: u32) -> Result<(), String> {
    // Writing 5 to this file resets only the high-water mark (proc(5)).
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").map_err(|error| format!("{path}: {error}"))
}

fn field(pid: u32, label: &str) -> Result<u64, String> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    parse(&status, label).ok_or_else(|| format!("{path}: no {label} line"))
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
    fn what_processes_share_is_no_growth_of_their_peak() {
        use std::process::{Child, Command};
        let mut sleepers: Vec<Child> =
            (0..6).map(|_| Command::new("sleep").arg("60").spawn().unwrap()).collect();
        let pids: Vec<u32> = sleepers.iter().map(Child::id).collect();
        // They share the pages of their libraries, once each has read them.
        let grows_not = |_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            pids.iter().for_each(|pid| reset_peak(*pid).unwrap());
            let (held, peak) = (of_family(&pids).unwrap(), peak_of_family(&pids).unwrap());
            peak.abs_diff(held) < 1 << 20
        };
        let found = (0..500).any(grows_not);
        sleepers.iter_mut().for_each(|child| child.kill().unwrap());
        sleepers.iter_mut().for_each(|child| drop(child.wait()));
        assert!(found);
    }

    #[test]
    fn reads_the_kernels_table() {
        let status = "Name:\tsh\nVmHWM:\t    3480 kB\nVmRSS:\t    1200 kB\n";
        assert_eq!(parse(status, "VmHWM:"), Some(3480 * 1024));
        assert_eq!(parse(status, "VmRSS:"), Some(1200 * 1024));
        assert_eq!(parse("Name:\tsh\nState:\tZ (zombie)\n", "VmRSS:"), None);
    }

    #[test]
    fn sees_this_process_and_none_that_is_not_there() {
        let here = std::process::id();
        assert!(peak(here).unwrap() > 0 && resident(here).unwrap() > 0);
        assert!(resident(u32::MAX).is_err());
        let alone = of_family(&[here, u32::MAX]).unwrap();
        assert!(alone > 0 && of_family(&[]).is_err() && of_family(&[u32::MAX, here]).is_err());
        assert!(share(here).unwrap() > 0);
    }
}
