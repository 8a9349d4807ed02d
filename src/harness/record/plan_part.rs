//! What a run says of the plan that it is a part of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::verdict::Verdict;
use crate::harness::hex::hex;

/// A run's place in a frozen plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanPart {
    /// Digest of the plan.
    pub digest: String,
    /// Number of the part, from 1.
    pub shard: u64,
    /// How many parts the plan is divided into.
    pub of: u64,
    /// Ids of the cases that every part runs.
    pub canaries: Vec<String>,
    /// The cases that only this part runs.
    pub own: Ids,
    /// Every case of the plan, canaries included.
    pub all: Ids,
    /// Whether the run stands in a merged record, which wants every part of the plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merged: bool,
    /// What this run found in cases that another run of the merged record decided too, by case id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verdicts: BTreeMap<String, Verdict>,
}

impl PlanPart {
    /// `part 2 of 4`.
    pub fn name(&self) -> String {
        format!("part {} of {}", self.shard, self.of)
    }

    /// Whether every part runs this case.
    pub fn is_canary(&self, case: &str) -> bool {
        self.canaries.iter().any(|id| id == case)
    }
}

/// A set of case ids, as a number and a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ids {
    /// How many ids.
    pub count: u64,
    /// SHA-256 over the sorted ids, each followed by a newline.
    pub sha256: String,
}

impl Ids {
    /// Counts and digests ids, in any order.
    pub fn of<'a>(ids: impl IntoIterator<Item = &'a str>) -> Ids {
        let mut ids: Vec<&str> = ids.into_iter().collect();
        ids.sort_unstable();
        let mut hash = Sha256::new();
        for id in &ids {
            hash.update(id);
            hash.update("\n");
        }
        Ids { count: ids.len() as u64, sha256: hex(&hash.finalize()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn the_order_of_ids_does_not_count_but_each_id_does() {
        assert_eq!(Ids::of(["a", "b"]), Ids::of(["b", "a"]));
        assert_ne!(Ids::of(["a", "b"]), Ids::of(["ab"]));
        assert_ne!(Ids::of(["a", "b"]).sha256, Ids::of(["a", "c"]).sha256);
    }
}
