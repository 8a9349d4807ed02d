//! Progress of a load, readable from another thread.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that a load advances and other threads read. They are not valid after the load has
/// ended.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    read: AtomicU64,
    verified: AtomicU64,
}

/// Values of the counters, in bytes of tensor data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Total size.
    pub total: u64,
    /// Bytes that were read.
    pub read: u64,
    /// Bytes that were hashed (strict), or whose chunks equal the seal (sealed).
    pub verified: u64,
}

impl Progress {
    /// Returns the current counters.
    pub fn reading(&self) -> Reading {
        Reading {
            total: self.total.load(Relaxed),
            read: self.read.load(Relaxed),
            verified: self.verified.load(Relaxed),
        }
    }

    /// Starts a load of `total` bytes.
    pub(super) fn begin(&self, total: u64) {
        self.total.store(total, Relaxed);
        self.read.store(0, Relaxed);
        self.verified.store(0, Relaxed);
    }

    /// Counts bytes that were read.
    pub(super) fn read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Relaxed);
    }

    /// Counts bytes that were hashed or found equal.
    pub(super) fn verified(&self, bytes: u64) {
        self.verified.fetch_add(bytes, Relaxed);
    }
}
