//! How far a load has come, for whoever watches it from another thread.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters that a load moves and a watcher reads. They say nothing after the load has ended.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    read: AtomicU64,
    verified: AtomicU64,
}

/// What the counters say, in bytes of tensor data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// All that there is.
    pub total: u64,
    /// Read and on its way.
    pub read: u64,
    /// Hashed, where whole files are hashed; found equal, where chunks are.
    pub verified: u64,
}

impl Progress {
    /// The counters now.
    pub fn reading(&self) -> Reading {
        Reading {
            total: self.total.load(Relaxed),
            read: self.read.load(Relaxed),
            verified: self.verified.load(Relaxed),
        }
    }

    /// A load of `total` bytes begins.
    pub(super) fn begin(&self, total: u64) {
        self.total.store(total, Relaxed);
        self.read.store(0, Relaxed);
        self.verified.store(0, Relaxed);
    }

    /// Bytes were read.
    pub(super) fn read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Relaxed);
    }

    /// Bytes were hashed or found equal.
    pub(super) fn verified(&self, bytes: u64) {
        self.verified.fetch_add(bytes, Relaxed);
    }
}
