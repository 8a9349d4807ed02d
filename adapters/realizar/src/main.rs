//! realizar, the engine of aprender-serve, behind the contract: safetensors into host memory, its
//! gates over them, and decoders by its converter.
//!
//! It translates and repairs nothing: what realizar refuses is refused in realizar's words, what it
//! takes is taken, and a panic is told as one.

mod decoder;
mod failure;
mod gates;
mod hello;
mod input;
mod loader;
mod weights;

use std::io;

fn main() -> io::Result<()> {
    weighbridge::serve(&mut loader::Realizar::default())
}
