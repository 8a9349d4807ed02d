//! Opens models and checks their headers: single files, shards, checkpoints.

pub mod beside;
pub mod checkpoint;
pub mod files;
pub mod shard_index;
