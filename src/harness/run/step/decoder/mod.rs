//! Decoders that go on from a prompt, token by token against the oracle.

mod generate;
mod judge;
mod pace;
mod prompt;

pub use generate::generate;
pub use pace::pace;
