//! What a decoder does between two tokens, on a device: kernels compiled for one model, keys and values
//! that stay there, and a step that is recorded once and repeated without a word from the host.
//!
//! A [`Runner`](super::Runner) reads the prompt with its ordinary operations, into the [`Decoder`]'s
//! cache; from then on the decoder goes on alone.

mod forms;
mod model;
mod plan;
mod state;
mod step;
mod values;

use std::sync::Arc;

use super::driver::context::Context;
use super::driver::graph::Graph;
use super::driver::memory::DeviceBuffer;
use super::driver::pinned::PinnedBuffer;
use super::driver::stream::{Event, Stream};

use self::plan::Queued;
use self::state::State;

pub use self::forms::{DecoderForms, DecoderKernels};
pub use self::model::{Affine, DecoderLayer, Decoding, Extent, STEPS};
pub use self::step::NO_TOKEN;

/// A decoder on a device, with room for so many tokens.
#[derive(Debug)]
pub struct Decoder {
    context: Context,
    stream: Arc<Stream>,
    /// Where the model lies: nothing is launched over any other.
    model: (u64, usize),
    room: usize,
    state: State,
    /// One step, kernel by kernel.
    step: Vec<Queued>,
    /// The last kernel alone.
    choose: Queued,
    graphs: [Option<Graph>; 2],
    marks: Vec<Event>,
    landing: PinnedBuffer,
    memory: DeviceBuffer,
}
