//! Divides the data of all files evenly among devices.

use std::ops::Range;

use crate::loader::load::device_pass::pieces::PIECE;

/// The share of each device: of each file the part that it brings, in bytes. `files` has the number of bytes of
/// each file's data. Parts begin at multiples of a piece, so that every chunk of a seal lies in one of them.
pub fn shares(files: &[u64], devices: usize) -> Vec<Vec<Range<u64>>> {
    let total: u64 = files.iter().sum();
    let share = total.div_ceil(devices.max(1) as u64).max(1);
    let mut shares = vec![vec![0..0; files.len()]; devices];
    let mut before = 0;
    for (file, bytes) in files.iter().enumerate() {
        let mut at = 0;
        while at < *bytes {
            let device = (((before + at) / share) as usize).min(devices.saturating_sub(1));
            // The share of this device ends here, rounded to a piece of the file.
            let ends = ((device as u64 + 1) * share).saturating_sub(before);
            let ends = ends.next_multiple_of(PIECE).max(at + PIECE);
            let end = if device + 1 == devices { *bytes } else { ends.min(*bytes) };
            let part = &mut shares[device][file];
            let begun = part.start < part.end;
            *part = if begun { part.start } else { at }..end;
            at = end;
        }
        before += bytes;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_in_one_share_and_the_shares_are_even() {
        let sizes = [3 * PIECE + 5, 0, 40 * PIECE, 7, 2500 * PIECE + 1];
        for devices in [1, 2, 3, 4, 7] {
            let shares = shares(&sizes, devices);
            assert_eq!(shares.len(), devices);
            for (file, size) in sizes.iter().enumerate() {
                let parts = shares.iter().map(|share| &share[file]);
                let mut end = 0;
                for part in parts.filter(|part| !part.is_empty()) {
                    assert_eq!((part.start, part.start % PIECE), (end, 0));
                    end = part.end;
                }
                assert_eq!(end, *size);
            }
            let total: u64 = sizes.iter().sum();
            for share in &shares {
                let bytes: u64 = share.iter().map(|part| part.end - part.start).sum();
                assert!(bytes.abs_diff(total / devices as u64) <= 2 * PIECE, "{devices}: {bytes}");
            }
        }
    }
}
