//! Submissions: a folder with everything about one certification, that others check offline, and the
//! registry that is made of checked ones.
//!
//! | file | what it is |
//! |---|---|
//! | `submission.json` | what is submitted: the digest of every other file, and the product |
//! | `report.json`, `report.md`, `report.html` | the report |
//! | `report.intoto.jsonl`, `key.pub` | who vouches for it |
//! | `journal.ndjson` | the recording of the run, where it was given |
//! | `README.md` | how to repeat it |
//! | `registry.intoto.jsonl` | the registry's own signature, added when it has checked the folder |

pub mod check;
pub mod expiry;
pub mod make;
pub mod open_ends;
pub mod registry;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Name and version of the form of `submission.json`. A reader refuses any other.
pub const FORMAT: &str = "weighbridge.submission/1";

/// What describes a submission.
pub const MANIFEST: &str = "submission.json";
/// The report.
pub const REPORT: &str = "report.json";
/// The statements of whoever submits.
pub const ATTESTATIONS: &str = "report.intoto.jsonl";
/// Their public key.
pub const KEY: &str = "key.pub";
/// The recording of the run.
pub const JOURNAL: &str = "journal.ndjson";
/// The registry's signature.
pub const COUNTERSIGNED: &str = "registry.intoto.jsonl";

/// The content of `submission.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// [`FORMAT`].
    pub format: String,
    /// What was certified.
    pub product: Product,
    /// SHA-256 of each other file, by name.
    pub files: BTreeMap<String, String>,
}

/// What was certified, and on which machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// The loader's name.
    pub loader: String,
    /// Its version.
    pub version: String,
    /// Whom to ask about it.
    pub contact: String,
    /// Where the loader can be had.
    pub source: String,
    /// The card, or the processor of a run on the host.
    pub card: String,
    /// The driver's version; empty on the host.
    pub driver: String,
    /// The file system that the models were read from.
    pub file_system: String,
    /// How many cards one model is divided over.
    pub parallelism: u64,
}

/// Why something is no submission, or cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);
