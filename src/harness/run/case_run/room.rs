//! Memory of the device and of the host that running cases share.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Memory that a case needs, or that is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Memory of the device, in bytes; 0 for a run on the host.
    pub device_bytes: u64,
    /// Memory of the host, in bytes.
    pub host_bytes: u64,
}

impl Demand {
    /// Both together.
    pub fn and(self, other: Demand) -> Demand {
        Demand {
            device_bytes: self.device_bytes.saturating_add(other.device_bytes),
            host_bytes: self.host_bytes.saturating_add(other.host_bytes),
        }
    }

    /// What is left without `other`.
    pub fn without(self, other: Demand) -> Demand {
        Demand {
            device_bytes: self.device_bytes.saturating_sub(other.device_bytes),
            host_bytes: self.host_bytes.saturating_sub(other.host_bytes),
        }
    }

    /// Whether it fits into so much memory.
    pub fn fits(self, room: Demand) -> bool {
        self.device_bytes <= room.device_bytes && self.host_bytes <= room.host_bytes
    }
}

/// What the running cases need together. All runs that share a setting share it, so that several runs
/// at a time share one card.
#[derive(Clone, Default)]
pub struct Ledger(Arc<(Mutex<Taken>, Condvar)>);

/// The memory that running cases need, and how many run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// The demands of all running cases.
    pub memory: Demand,
    /// How many cases run.
    pub cases: usize,
}

impl Ledger {
    /// The entries, which nobody changes as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a case has given its memory back.
    pub fn wait<'a>(&self, taken: MutexGuard<'a, Taken>) -> MutexGuard<'a, Taken> {
        self.0.1.wait(taken).unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the memory of a case back.
    pub fn release(&self, demand: Demand) {
        let mut taken = self.lock();
        taken.memory = taken.memory.without(demand);
        taken.cases = taken.cases.saturating_sub(1);
        self.0.1.notify_all();
    }
}

impl Taken {
    /// Takes memory for one more case.
    pub fn take(&mut self, demand: Demand) {
        self.memory = self.memory.and(demand);
        self.cases += 1;
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_for_both_kinds_of_memory() {
        let of = |device_bytes, host_bytes| Demand { device_bytes, host_bytes };
        assert!(of(3, 4).fits(of(3, 4)));
        assert!(!of(4, 4).fits(of(3, 4)) && !of(3, 5).fits(of(3, 4)));
        assert_eq!(of(3, 4).and(of(1, 2)).without(of(3, 4)), of(1, 2));
        let ledger = Ledger::default();
        ledger.lock().take(of(3, 4));
        ledger.clone().lock().take(of(1, 1));
        ledger.release(of(3, 4));
        let left = *ledger.lock();
        assert_eq!((left.memory, left.cases), (of(1, 1), 1));
    }
}
