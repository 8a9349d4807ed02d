//! The seal: what a model's files were when they were sealed, in a form that can be checked in
//! pieces, on the device, while the file still loads.
//!
//! A seal is one JSON document: the in-toto statement that OpenSSF model signing (OMS) signs, with
//! one more member in its predicate. OMS tools read it as a manifest of whole files, since they
//! ignore members that they do not know, and it can be wrapped and signed as theirs is. The seal's
//! own SHA-256 is what a registry pins, beside or in place of the file's.
//!
//! ```json
//! {"_type": "https://in-toto.io/Statement/v1",
//!  "subject": [{"name": "mini", "digest": {"sha256": "<of all resources' digests, as bytes>"}}],
//!  "predicateType": "https://model_signing/signature/v1.0",
//!  "predicate": {
//!    "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": true,
//!                      "ignore_paths": []},
//!    "resources": [{"name": "model.safetensors", "algorithm": "sha256", "digest": "<64 digits>"}],
//!    "weighbridge": {
//!      "version": 1, "tool": "weighbridge 0.1.0", "chunk_bytes": 65536,
//!      "files": [{"name": "model.safetensors", "bytes": 90868376, "header_bytes": 10328,
//!                 "header": "<64 digits>", "chunks": "<64 digits a chunk, no separator>"}]}}}
//! ```
//!
//! # Rules
//! - Digests are SHA-256, in lower-case hex digits.
//! - `resources` are in ascending order of their names, which are relative paths with `/`, no `.`
//!   and no `..`. A file that is loaded goes by the resource whose name its path ends in.
//! - `header` covers a safetensors file's first `header_bytes` bytes, length prefix included. The
//!   data after it is cut into chunks of `chunk_bytes`, the last one shorter where it must be; there
//!   are none where there is no data. `chunk_bytes` is a power of two from [`MIN_CHUNK`] to
//!   [`MAX_CHUNK`].
//! - Whoever checks a seal checks its pinned digest first: header and chunks then prove the bytes,
//!   and so the whole-file digest that stands beside them.

use serde::{Deserialize, Serialize};

/// `_type` of every seal.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// `predicateType` of every seal: that of OpenSSF model signing.
pub const PREDICATE: &str = "https://model_signing/signature/v1.0";

/// Version of the `weighbridge` member.
pub const VERSION: u32 = 1;

/// Smallest chunk, in bytes.
pub const MIN_CHUNK: u64 = 4 << 10;

/// Largest chunk, in bytes.
pub const MAX_CHUNK: u64 = 1 << 20;

/// A whole seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// [`STATEMENT`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// The model, exactly one.
    pub subject: Vec<Subject>,
    /// [`PREDICATE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is said of it.
    pub predicate: Predicate,
}

/// The model that is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// SHA-256 over the digests of all resources, as bytes, in their order.
    pub digest: SubjectDigest,
}

/// The subject's digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectDigest {
    /// 64 hex digits.
    pub sha256: String,
}

/// What a seal says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicate {
    /// How files became resources.
    pub serialization: Serialization,
    /// Every file with its whole digest.
    pub resources: Vec<Resource>,
    /// Every safetensors file in pieces.
    pub weighbridge: Pieces,
}

/// How files became resources: as whole files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serialization {
    /// `files`.
    pub method: String,
    /// `sha256`.
    pub hash_type: String,
    /// Whether what a symbolic link leads to is taken for the file: `true`, as caches are full of
    /// them.
    pub allow_symlinks: bool,
    /// Paths left out.
    pub ignore_paths: Vec<String>,
}

/// A file with its whole digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Path relative to the model.
    pub name: String,
    /// `sha256`.
    pub algorithm: String,
    /// 64 hex digits.
    pub digest: String,
}

/// Every safetensors file in pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pieces {
    /// [`VERSION`].
    pub version: u32,
    /// What made the seal, name and version.
    pub tool: String,
    /// Size of a chunk, in bytes.
    pub chunk_bytes: u64,
    /// The files, each also a resource.
    pub files: Vec<SealedFile>,
}

/// A safetensors file in pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedFile {
    /// Name of its resource.
    pub name: String,
    /// Its size, in bytes.
    pub bytes: u64,
    /// How many of them come before the data.
    pub header_bytes: u64,
    /// Digest of those, 64 hex digits.
    pub header: String,
    /// Digests of the data's chunks, in order, 64 hex digits each.
    pub chunks: String,
}
