//! Copies between host and device: pinned rings, downloads, CUDA IPC, layers, and the copy limit.

pub mod copy_limit;
pub mod download;
pub mod ipc;
pub mod layers;
pub mod pinned_ring;
pub mod round_trip;
