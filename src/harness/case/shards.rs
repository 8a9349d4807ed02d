//! A file of a case that is spread over shards with an index, as publishers spread large models. It needs no
//! configuration: nothing runs it.

use serde::Deserialize;

/// How a file is spread over shards.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shards {
    /// How many. The tensors are dealt out one by one, so that neighbours lie in different shards.
    pub count: usize,
    /// How the shards are named.
    #[serde(default)]
    pub names: ShardNames,
    /// What is wrong. A file with a fault must be refused.
    #[serde(default)]
    pub fault: Option<ShardFault>,
}

/// How shards are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardNames {
    /// `model-00002-of-00012.safetensors`: sorted as text, they are in the order of their numbers.
    #[default]
    Padded,
    /// `part-2.safetensors`: sorted as text, `part-10` comes before it.
    Plain,
}

/// A fault of an index or of its shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardFault {
    /// The last shard is not there, though the index names it.
    AbsentShard,
    /// The index gives the first tensor to another shard than holds it.
    Misplaced,
    /// The index names a tensor that no shard holds.
    Unheld,
    /// The last shard holds the first tensor too, with other bytes.
    HeldTwice,
}
