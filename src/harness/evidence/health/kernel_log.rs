//! The driver's Xid errors in the kernel log. Many machines and most containers do not let it be read.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;

const LOG: &str = "/dev/kmsg";

/// Longest record that the kernel gives, in bytes.
const RECORD: usize = 8192;

/// Most records that are read: more than any kernel's buffer holds.
const MOST: usize = 1 << 20;

/// Xid errors of the card at this address on the bus: seconds ago, and the number.
///
/// # Errors
/// Why the log cannot be read.
pub fn xids(bus: &str) -> Result<Vec<(f64, u64)>, String> {
    let refused = |error: std::io::Error| format!("{LOG}: {error}");
    let mut file = fs::OpenOptions::new()
        .read(true)
        // Without this, the last read would wait for the kernel's next message.
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(LOG)
        .map_err(refused)?;
    let mut records = Vec::new();
    let mut buffer = vec![0; RECORD];
    for _ in 0..MOST {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                records.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // Records were overwritten meanwhile; the next read goes on with the oldest that is left.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(refused(error)),
        }
    }
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let now = uptime.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    Ok(of_card(&records, bus, now))
}

/// The Xid errors of one card. `now` is in seconds since the system started; where it is not known, the last
/// record's time takes its place.
pub fn of_card(records: &[String], bus: &str, now: f64) -> Vec<(f64, u64)> {
    let now = records.iter().filter_map(|record| time(record)).fold(now, f64::max);
    let own = address(bus);
    let mut all = Vec::new();
    for record in records {
        let Some((_, said)) = record.split_once("NVRM: Xid (PCI:") else { continue };
        let Some((place, rest)) = said.split_once("): ") else { continue };
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if let (Some(number), Some(time)) = (digits.parse().ok(), time(record))
            && own.is_some()
            && address(place) == own
        {
            all.push((now - time, number));
        }
    }
    all
}

/// When a record was made, in seconds since the system started: `6,1234,5678901,-;text`.
fn time(record: &str) -> Option<f64> {
    let microseconds: f64 = record.split(',').nth(2)?.parse().ok()?;
    Some(microseconds / 1e6)
}

/// Domain, bus and device of `00000000:3B:00.0` or `0000:3b:00`.
fn address(text: &str) -> Option<[u32; 3]> {
    let text = text.split('.').next()?;
    let mut numbers = text.split(':').map(|part| u32::from_str_radix(part, 16).ok());
    let all = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_cards_errors_count_and_their_age_is_known() {
        let records = [
            "6,100,50000000,-;NVRM: Xid (PCI:0000:3b:00): 31, pid=7, name=x, MMU Fault",
            "6,101,90000000,-;NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', fallen off the bus",
            "6,102,91000000,-;NVRM: Xid (PCI:0000:86:00): 48, pid=7, name=x, DBE",
            "6,103,92000000,-;NVRM: loading NVIDIA UNIX x86_64 Kernel Module",
            "6,104,99000000,-;something else (PCI:0000:3b:00): 79",
        ]
        .map(str::to_owned);
        let found = of_card(&records, "00000000:3B:00.0", 100.0);
        assert_eq!(found, [(50.0, 31), (10.0, 79)]);
        assert_eq!(of_card(&records, "00000000:86:00.0", 0.0), [(8.0, 48)]);
        assert_eq!(of_card(&records, "nonsense", 100.0), []);
    }

    #[test]
    fn a_log_that_may_not_be_read_is_an_error_not_silence() {
        if let Err(why) = xids("00000000:3B:00.0") {
            assert!(why.starts_with("/dev/kmsg: "), "{why}");
        }
    }
}
