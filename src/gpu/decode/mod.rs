//! Generates tokens on a device.
//!
//! The kernels are compiled for one model, and keys and values stay on the device. Steps are
//! recorded once as a CUDA graph, which then runs without input from the host.
//!
//! A [`Runner`](super::Runner) runs the prompt with its ordinary operations and writes its keys and
//! values to the [`Decoder`]'s cache. The decoder runs all later tokens.

mod description;
mod division;
mod forms;
#[cfg(test)]
mod on_host;
mod plan;
mod shape;
mod state;
mod step;
mod values;

pub use self::description::{Affine, DecoderLayer, Decoding, Extent, STEPS};
pub use self::forms::{DecoderForms, DecoderKernels};
pub use self::shape::{HeadShape, LinearShape, NormShape};
pub use self::step::{Decoder, NO_TOKEN};
