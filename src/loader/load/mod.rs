//! The one load path.
//!
//! A load has five stages. Each stage is a type whose constructor takes the stage before it:
//!
//! * [`Opened`]: files, headers, device.
//! * [`Planned`]: memory is planned and allocated.
//! * [`Filled`]: one pass over the data, which reads, hashes, scans for the gates, converts and
//!   places.
//! * [`Verified`]: the verdicts, in this order: files unchanged, digests, gates.
//! * [`Model`]: the loaded model.
//!
//! The data is read once, into memory that only this path can access. So the bytes that were hashed
//! and scanned are the bytes of the model. Any failure frees the model's memory before it is
//! reported.
//!
//! Two modes differ in what is hashed. *Strict* hashes whole files, each on its own thread, at the
//! speed of one SHA-256 stream. *Sealed* compares the header and every chunk of the data with a
//! pinned seal; on a device, the device hashes the chunks in its memory ([`device_pass`]). All
//! other loads go through the host ([`host_pass`]).
//!
//! A file of another format than safetensors takes the same path in strict mode. Only the part
//! before the data has its own reader ([`format`](super::format)).

pub mod compiling;
pub mod context;
pub mod device_pass;
mod divided_pass;
pub mod evidence;
pub mod filled;
pub mod held;
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
/// Every refusal of the contract's `load`. After an error, only device contexts and staging rings
/// remain, for the next load.
pub fn load(
    gpus: &mut Gpus,
    decisions: &dyn LoadDecisions,
    request: &request::Load,
    progress: &Progress,
) -> Result<Model> {
    let context = LoadContext { request, decisions, progress, watch: Watch::start() };
    stages(gpus, context).map_err(|error| match error.phase() {
        // The error does not concern the file, which was not read.
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
pub(crate) mod tests;
