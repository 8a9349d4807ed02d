//! What a run says of its seed before its first case: the SHA-256 over a random salt and the seed.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::harness::hex::hex;

/// What stands in a journal in the place of a secret. It stays where the run was killed before it told it.
pub const SEALED: &str = "sealed";

/// What a run said of its seed before its first case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// SHA-256 over the salt, a colon and the seed, each as hex digits: `printf SALT:SEED | sha256sum`.
    pub sha256: String,
    /// 64 random hex digits, without which every seed could be tried; [`SEALED`] until the run has ended.
    pub salt: String,
}

impl Commitment {
    /// The commitment to a seed, given as it stands in a record.
    pub fn to(seed: &str, salt: &[u8; 32]) -> Commitment {
        let mut commitment = Commitment { sha256: String::new(), salt: hex(salt) };
        commitment.sha256 = commitment.of(seed);
        commitment
    }

    /// The digest that this salt gives with a seed.
    pub fn of(&self, seed: &str) -> String {
        hex(&Sha256::digest(format!("{}:{seed}", self.salt)))
    }
}
