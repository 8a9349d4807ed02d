//! From a path to open files with checked headers: single files, shards, checkpoints.

pub mod checkpoint;
pub mod files;
pub mod shard_index;
