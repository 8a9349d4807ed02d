//! The seal: the digests of a model's files at the time of sealing. Each file has digests of its
//! chunks, so that the device can check chunks while the rest of the file still loads.
//!
//! A seal is one JSON document: the in-toto statement that OpenSSF model signing (OMS) signs, with
//! one more member in its predicate. OMS tools ignore members that they do not know, so they read
//! it as a manifest of whole files. It can be wrapped and signed like an OMS manifest. A registry
//! pins the SHA-256 of the seal, in addition to that of the file or instead of it.
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
//!   and no `..`. A loaded file belongs to the resource whose name its path ends in.
//! - `header` covers a safetensors file's first `header_bytes` bytes, length prefix included. The
//!   data after it is divided into chunks of `chunk_bytes`. The last chunk may be shorter. A file
//!   without data has no chunks. `chunk_bytes` is a power of two from [`MIN_CHUNK`] to
//!   [`MAX_CHUNK`].
//! - A loader must check the pinned digest of a seal first. The digests of header and chunks then
//!   prove the bytes of the file, and so the whole-file digest in the seal.

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
    /// What the seal says about the model.
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
    /// Whether symbolic links are followed: `true`, because model caches use them.
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
    /// Name and version of the program that made the seal.
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
    /// How many of these bytes come before the data.
    pub header_bytes: u64,
    /// Digest of the bytes before the data, 64 hex digits.
    pub header: String,
    /// Digests of the data's chunks, in order, 64 hex digits each.
    pub chunks: String,
}
