//! Divides the data of all files evenly among devices, and each share into windows.

use std::ops::Range;

use crate::loader::load::device_pass::pieces::PIECE;

/// Most bytes of a window. A device waits at the end of each window until the last bytes are hashed and handed
/// out; with windows of this size that is some hundredths of the time.
const WINDOW: u64 = 1024 * PIECE;

/// A part of a file's data that is on a device at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The file's index.
    pub file: usize,
    /// The range of its data, in bytes.
    pub data: Range<u64>,
}

impl Window {
    /// Its size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.data.end - self.data.start
    }

    /// The same as a pair.
    pub fn part(&self) -> (usize, Range<u64>) {
        (self.file, self.data.clone())
    }
}

/// The windows of each device. `files` has the number of bytes of each file's data. Windows begin at multiples
/// of a piece in their file, so that every chunk of a seal lies in one of them.
pub fn windows(files: &[u64], devices: usize) -> Vec<Vec<Window>> {
    let total: u64 = files.iter().sum();
    let share = total.div_ceil(devices.max(1) as u64).max(1);
    let mut shares = vec![Vec::new(); devices];
    let mut before = 0;
    for (file, bytes) in files.iter().enumerate() {
        let mut at = 0;
        while at < *bytes {
            let device = (((before + at) / share) as usize).min(devices.saturating_sub(1));
            // The share of this device ends here, rounded to a piece of the file.
            let ends = ((device as u64 + 1) * share).saturating_sub(before);
            let ends = ends.next_multiple_of(PIECE).max(at + PIECE);
            let end = if device + 1 == devices { *bytes } else { ends.min(*bytes) };
            let end = end.min(at + WINDOW);
            shares[device].push(Window { file, data: at..end });
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
    fn every_byte_is_in_one_window_and_the_shares_are_even() {
        let sizes = [3 * PIECE + 5, 0, 40 * PIECE, 7, 2500 * PIECE + 1];
        for devices in [1, 2, 3, 4, 7] {
            let shares = windows(&sizes, devices);
            assert_eq!(shares.len(), devices);
            let mut all: Vec<Window> = shares.iter().flatten().cloned().collect();
            assert!(all.iter().all(|window| window.bytes() <= WINDOW && window.bytes() > 0));
            assert!(all.iter().all(|window| window.data.start % PIECE == 0));
            all.sort_by_key(|window| (window.file, window.data.start));
            for (file, size) in sizes.iter().enumerate() {
                let mut end = 0;
                for window in all.iter().filter(|window| window.file == file) {
                    assert_eq!(window.data.start, end);
                    end = window.data.end;
                }
                assert_eq!(end, *size);
            }
            let total: u64 = sizes.iter().sum();
            for share in &shares {
                let bytes: u64 = share.iter().map(Window::bytes).sum();
                assert!(bytes.abs_diff(total / devices as u64) <= 2 * PIECE, "{devices}: {bytes}");
            }
        }
    }
}
