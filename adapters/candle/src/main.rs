//! candle behind the contract: `candle-core` loads safetensors, `candle-transformers` runs decoders and
//! encoders: on the host and, built with the feature `cuda`, on a CUDA device.
//!
//! It translates and repairs nothing. What candle refuses is refused with candle's message, what candle
//! accepts is accepted, and a panic is reported as a panic.

mod config;
mod decoder;
mod device;
mod encoder;
mod failure;
mod hello;
mod loader;
mod weights;

use std::io;

fn main() -> io::Result<()> {
    weighbridge::serve(&mut loader::Candle::default())
}
