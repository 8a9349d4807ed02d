//! candle behind the contract: `candle-core` loads safetensors into host memory, `candle-transformers`
//! runs decoders and encoders.
//!
//! It translates and repairs nothing: what candle refuses is refused in candle's words, what candle
//! takes is taken, and a panic is told as one.

mod config;
mod decoder;
mod encoder;
mod failure;
mod hello;
mod loader;
mod weights;

use std::io;

fn main() -> io::Result<()> {
    weighbridge::serve(&mut loader::Candle::default())
}
