//! The one load path.
//!
//! It has stages, each a type whose constructor takes the one before it: [`Opened`] (files, headers,
//! device), [`Planned`] (memory planned and reserved), [`Filled`] (one pass over the data, in which it
//! is read, hashed, scanned for the gates, converted and placed), [`Verified`] (the verdicts, in this
//! order: files unchanged, digests, gates), [`Model`]. The data is read once, into memory that only
//! this path sees, so the bytes that were hashed and judged are those that lie in the model. Any
//! failure drops the model's memory before it is reported.
//!
//! Two modes differ in what is hashed. *Strict* hashes whole files, each on a thread of its own, as
//! fast as one SHA-256 stream goes. *Sealed* compares the header and every chunk of the data with a
//! pinned seal; on a device, the device hashes the chunks where they have landed ([`device_pass`]).
//! Everything else goes through the host ([`host_pass`]).
//!
//! A file of another format takes the same way, strictly: only its front is read by rules of its own
//! ([`format`](super::format)).

pub mod compiling;
pub mod context;
pub mod device_pass;
pub mod evidence;
pub mod filled;
pub mod host_pass;
pub mod memory_plan;
pub mod model;
pub mod opened;
pub mod planned;
pub mod times;
pub mod verified;

use crate::contract::{Phase, request};

use self::context::LoadContext;
use self::filled::Filled;
use self::model::Model;
use self::opened::Opened;
use self::planned::Planned;
use self::times::Watch;
use self::verified::Verified;
use super::decisions::LoadDecisions;
use super::device::Gpus;
use super::error::Result;
use super::progress::Progress;

/// Loads a file, or the shards that an index names.
///
/// # Errors
/// Every refusal of the contract's `load`. Nothing stays behind but what is kept for the next load:
/// device contexts and staging rings.
pub fn load(
    gpus: &mut Gpus,
    decisions: &dyn LoadDecisions,
    request: &request::Load,
    progress: &Progress,
) -> Result<Model> {
    let context = LoadContext { request, decisions, progress, watch: Watch::start() };
    stages(gpus, context).map_err(|error| match error.phase() {
        // Nothing is wrong with the file, and it was not looked at.
        Phase::Preflight => error,
        _ => error.path(&request.path),
    })
}

fn stages(gpus: &mut Gpus, context: LoadContext<'_>) -> Result<Model> {
    let opened = Opened::open(context, gpus)?;
    let planned = Planned::reserve(opened, gpus)?;
    let filled = Filled::fill(planned)?;
    let verified = Verified::verify(filled)?;
    Model::register(verified)
}

#[cfg(test)]
pub(in crate::loader) mod tests;
