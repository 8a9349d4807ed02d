//! Whether the run's card may speak about a loader: readings of its condition, each with a limit.
//!
//! [`look`] reads everything and takes about half a second; [`glance`] reads only what NVML counts, and may be
//! used while a loader works. A figure that this machine does not give is *not readable*, never healthy.

mod burden;
mod canary;
mod checks;
mod kernel_log;
mod limits;
mod pace;
mod seen;
mod told;

use crate::gpu::nvml::XidEvents;
use crate::harness::record::health::Reading;

/// Reads everything about the card with this CUDA ordinal. The card must be idle. `events` has the Xid
/// errors since the run began, where it began to listen.
pub fn look(ordinal: u32, events: Option<&XidEvents>) -> Vec<Reading> {
    checks::all(&burden::seen(ordinal, events, seen::at_rest))
}

/// The same without the free memory: what a run leaves behind is for its cases to find.
pub fn look_after(ordinal: u32, events: Option<&XidEvents>) -> Vec<Reading> {
    checks::without_room(&burden::seen(ordinal, events, seen::in_use))
}

/// Reads what changes when a card falls sick, without any work on the card.
pub fn glance(ordinal: u32, events: Option<&XidEvents>) -> Vec<Reading> {
    checks::counted(&seen::counters(ordinal, events, seen::in_use))
}

/// The reading of a card that the driver lists and cannot open.
pub fn not_opened(error: &crate::gpu::GpuError) -> Reading {
    checks::not_opened(error)
}

#[cfg(test)]
mod tests;
