//! What a decoder does between two tokens, on a device: kernels compiled for one model, keys and values
//! that stay there, and a step that is recorded once and repeated without a word from the host.
//!
//! A [`Runner`](super::Runner) reads the prompt with its ordinary operations, into the [`Decoder`]'s
//! cache; from then on the decoder goes on alone.

mod description;
mod forms;
mod plan;
mod state;
mod step;
mod values;

pub use self::description::{Affine, DecoderLayer, Decoding, Extent, STEPS};
pub use self::forms::{DecoderForms, DecoderKernels};
pub use self::step::{Decoder, NO_TOKEN};
