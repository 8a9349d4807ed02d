//! realizar, the engine of aprender-serve, behind the contract: safetensors into host memory, its
//! gates over them, and decoders by its converter.
//!
//! It translates and repairs nothing. What realizar refuses is refused with realizar's message, what it
//! accepts is accepted, and a panic is reported as a panic.

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
