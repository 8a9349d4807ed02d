//! The results of a measurement: every figure with its context, and the ratios that follow from
//! them.

use serde::Serialize;

use crate::cli::stamp::Stamp;
use crate::contract::plan::LoadTimes;

/// Format of the JSON.
pub const FORMAT: &str = "weighbridge.bench.load/2";

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Bench {
    /// [`FORMAT`].
    pub format: &'static str,
    /// When, by which build, on which machine.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Where weights were loaded to: `cpu` or `cuda:N`.
    pub device: String,
    /// Timed loads of each arm on each file system. One more load before them is not timed.
    pub rounds: u32,
    /// Whether strict and sealed loads ran the data-quality gates.
    pub gates: bool,
    /// What was loaded.
    pub model: Model,
    /// Which inputs were synthetic, in words.
    pub synthetic: Vec<String>,
    /// What the machine can do.
    pub limits: Limits,
    /// Every arm, by file system and cache state.
    pub arms: Vec<Arm>,
    /// Peers that could not be measured, and why.
    pub missing: Vec<Missing>,
}

/// What was loaded.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    /// What it is, in words.
    pub what: String,
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// Size of its tensors, in bytes.
    pub data_bytes: u64,
    /// Number of tensors.
    pub tensors: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Bytes of a chunk of its seal.
    pub chunk_bytes: u64,
}

/// What the machine can do at best, in GB/s (10^9 bytes a second).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Limits {
    /// Host to device from pinned memory, by the device's clock.
    pub copy_pinned: Option<f64>,
    /// Host to device from ordinary memory, by the device's clock.
    pub copy_pageable: Option<f64>,
    /// SHA-256 over memory, by streams side by side.
    pub sha256: Vec<Width>,
    /// One SHA-256 stream over bytes that lie in the processor's cache.
    pub sha256_in_cache: f64,
    /// Reads from the page cache into small buffers, by file system and threads.
    pub page_cache: Vec<OnDisk>,
    /// Reads from the page cache and copies to the device at once, by file system; none on the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reachable: Vec<Reachable>,
    /// Reads past the page cache, by file system and threads.
    pub direct: Vec<OnDisk>,
    /// SHA-256 of chunks on the device.
    pub device_sha256: Option<f64>,
}

/// A rate at a width.
#[derive(Clone, Debug, Serialize)]
pub struct Width {
    /// Threads.
    pub threads: usize,
    /// GB/s.
    pub gbps: f64,
}

/// What reading and copying at once reaches from one file system.
#[derive(Clone, Debug, Serialize)]
pub struct Reachable {
    /// Its name.
    pub file_system: String,
    /// Every combination that was tried.
    pub tried: Vec<Reached>,
}

impl Reachable {
    /// The fastest combination.
    pub fn best(&self) -> Option<&Reached> {
        best(&self.tried)
    }
}

/// The fastest of several combinations.
pub fn best(tried: &[Reached]) -> Option<&Reached> {
    tried.iter().max_by(|one, two| one.gbps.total_cmp(&two.gbps))
}

/// The rate of one combination.
#[derive(Clone, Debug, Serialize)]
pub struct Reached {
    /// Threads.
    pub threads: usize,
    /// Bytes that a thread reads and copies at once.
    pub piece_bytes: usize,
    /// Pinned slots of a thread.
    pub slots: usize,
    /// GB/s.
    pub gbps: f64,
}

/// Rates of one file system.
#[derive(Clone, Debug, Serialize)]
pub struct OnDisk {
    /// Its name.
    pub file_system: String,
    /// Best of several rates for each number of threads; empty if it could not be measured.
    pub rates: Vec<Width>,
    /// Why it could not be measured.
    pub skipped: Option<String>,
}

/// One way to load, on one file system, in one state of the cache.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// Whether it is this program's loader.
    pub own: bool,
    /// The file system.
    pub file_system: String,
    /// `warm`: the file in the page cache; `cold`: none of it.
    pub cache: &'static str,
    /// What it verifies.
    pub verifies: &'static str,
    /// How the bytes are moved.
    pub how: String,
    /// What was checked of every load, outside the timed part.
    pub checked: &'static str,
    /// Which clock measured, and what it includes.
    pub clock: &'static str,
    /// Seconds of each timed load, in their order.
    pub runs: Vec<f64>,
    /// Share of the file left in the page cache before each cold load, if the kernel reports it.
    pub residual: Vec<f64>,
    /// Shortest load, in seconds.
    pub best_s: Option<f64>,
    /// Median load, in seconds.
    pub median_s: Option<f64>,
    /// Longest load, in seconds.
    pub worst_s: Option<f64>,
    /// Bytes of the file over the shortest load.
    pub best_gbps: Option<f64>,
    /// Bytes of the file over the median load.
    pub median_gbps: Option<f64>,
    /// Best rate over the pinned copy limit.
    pub of_copy: Option<f64>,
    /// Best rate over the best one of reading and copying at once, in turn with it; warm arms only.
    pub of_reachable: Option<f64>,
    /// Median rate over the median one of reading and copying at once.
    pub of_reachable_median: Option<f64>,
    /// Best rate over that of one SHA-256 stream over memory.
    pub of_sha256: Option<f64>,
    /// Best rate over the plain direct read's; cold arms only.
    pub of_direct: Option<f64>,
    /// Best rate over the fastest peer's best on this file system.
    pub of_peer: Option<f64>,
    /// Median rate over the highest median of a peer on this file system.
    pub of_peer_median: Option<f64>,
    /// Peak host memory above the resident memory before the load, in bytes: the largest of all
    /// timed loads.
    pub host_peak_bytes: Option<u64>,
    /// Device memory taken, as the driver counts it, in bytes: the largest of all timed loads.
    pub device_bytes: Option<u64>,
    /// Staging memory that is kept from load to load, in bytes, as the loader reports it.
    pub staging_bytes: Option<u64>,
    /// Where the time of the shortest load went, as the loader reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<LoadTimes>,
    /// Why it failed; it was then left out of all later rounds.
    pub error: Option<String>,
    /// Why it was not tried.
    pub skipped: Option<String>,
}

/// A peer that could not be measured.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
    /// Whether it was asked for by name.
    pub asked: bool,
}

/// Bytes in seconds as GB/s.
pub fn gbps(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / seconds.max(1e-9) / 1e9
}

impl Arm {
    /// An arm without any runs, on a file system and in a state of the cache.
    pub fn begin(name: &str, own: bool, (file_system, cache): (&str, &'static str)) -> Arm {
        Arm {
            name: name.to_owned(),
            own,
            file_system: file_system.to_owned(),
            cache,
            verifies: "nothing",
            clock: OWN_CLOCK,
            ..Arm::default()
        }
    }

    /// Whether it loads nothing, and only shows what the machine can do.
    fn is_limit(&self) -> bool {
        [DIRECT, TOGETHER].contains(&self.name.as_str())
    }

    /// Calculates what follows from the runs alone, for a file of `bytes` bytes.
    pub fn sum_up(&mut self, bytes: u64, limits: &Limits) {
        let mut sorted = self.runs.clone();
        sorted.sort_by(f64::total_cmp);
        self.best_s = sorted.first().copied();
        self.worst_s = sorted.last().copied();
        self.median_s = median(&sorted);
        self.best_gbps = self.best_s.map(|seconds| gbps(bytes, seconds));
        self.median_gbps = self.median_s.map(|seconds| gbps(bytes, seconds));
        let stream = limits.sha256.first().map(|width| width.gbps);
        self.of_copy = ratio(self.best_gbps, limits.copy_pinned);
        self.of_sha256 = ratio(self.best_gbps, stream);
    }
}

/// Calculates the ratios of each arm to the others of its file system and cache state.
pub fn compare(arms: &mut [Arm]) {
    let all = arms.to_vec();
    for arm in arms {
        let beside =
            |other: &&Arm| other.file_system == arm.file_system && other.cache == arm.cache;
        let most = |rate: fn(&Arm) -> Option<f64>, wanted: fn(&Arm) -> bool| {
            let all = all.iter().filter(beside).filter(|other| wanted(other));
            all.filter_map(rate).max_by(f64::total_cmp)
        };
        // No arm is compared with one that failed a check.
        let peer: fn(&Arm) -> bool = |arm| !arm.own && !arm.is_limit() && arm.error.is_none();
        let together: fn(&Arm) -> bool = |arm| arm.name == TOGETHER && arm.error.is_none();
        arm.of_peer = ratio(arm.best_gbps, most(|arm| arm.best_gbps, peer));
        arm.of_peer_median = ratio(arm.median_gbps, most(|arm| arm.median_gbps, peer));
        arm.of_reachable = ratio(arm.best_gbps, most(|arm| arm.best_gbps, together));
        arm.of_reachable_median = ratio(arm.median_gbps, most(|arm| arm.median_gbps, together));
        arm.of_direct = ratio(arm.best_gbps, most(|arm| arm.best_gbps, |arm| arm.name == DIRECT));
    }
}

/// The clock of a load in this process.
const OWN_CLOCK: &str = "this process's, around the load";

/// The clock of a peer. The round trip is not used, because it includes the protocol and the table
/// of tensors.
pub const PEER_CLOCK: &str = "the peer's own, around the load: the times in its reply";

/// Name of the arm that only reads.
pub const DIRECT: &str = "direct read";

/// Name of the arm that only reads and copies.
pub const TOGETHER: &str = "reading and copying at once";

fn ratio(value: Option<f64>, limit: Option<f64>) -> Option<f64> {
    value.zip(limit).map(|(value, limit)| value / limit).filter(|ratio| ratio.is_finite())
}

/// The middle one, or the mean of the middle two.
pub fn median(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    let above = *sorted.get(half)?;
    if sorted.len() % 2 == 1 {
        return Some(above);
    }
    sorted.get(half.checked_sub(1)?).map(|below| (below + above) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(name: &str, own: bool, runs: &[f64]) -> Arm {
        Arm { runs: runs.to_vec(), ..Arm::begin(name, own, ("tmpfs", "warm")) }
    }

    #[test]
    fn figures_follow_from_the_runs() {
        let limits = Limits {
            copy_pinned: Some(50.0),
            sha256: vec![Width { threads: 1, gbps: 1.25 }],
            ..Limits::default()
        };
        let mut arms = [
            arm("sealed", true, &[0.5, 0.2, 0.4, 0.25]),
            arm("slow", false, &[1.0]),
            arm("fast", false, &[0.5, 0.3, 0.8]),
            arm("none", false, &[]),
            arm("liar", false, &[0.001]),
            arm(TOGETHER, false, &[0.1, 0.16, 0.13]),
        ];
        arms[4].error = Some("checksum differs".to_owned());
        for arm in &mut arms {
            arm.sum_up(1_000_000_000, &limits);
        }
        compare(&mut arms);
        let sealed = &arms[0];
        assert_eq!(
            (sealed.best_s, sealed.median_s, sealed.worst_s),
            (Some(0.2), Some(0.325), Some(0.5))
        );
        assert_eq!(
            (sealed.best_gbps, sealed.of_copy, sealed.of_sha256),
            (Some(5.0), Some(0.1), Some(4.0))
        );
        assert_eq!(sealed.of_reachable, Some(0.5));
        assert!((sealed.of_reachable_median.unwrap_or_default() - 0.13 / 0.325).abs() < 1e-9);
        assert!((sealed.of_peer.unwrap_or_default() - 1.5).abs() < 1e-9, "{sealed:?}");
        assert!((sealed.of_peer_median.unwrap_or_default() - 0.5 / 0.325).abs() < 1e-9);
        assert_eq!(sealed.of_direct, None);
        assert_eq!((arms[3].best_s, arms[3].of_copy, arms[3].of_peer), (None, None, None));
    }
}
