//! Decoders that go on from a prompt, token by token against the oracle.

mod alike;
mod generate;
mod judge;
mod pace;
mod prompt;

pub use alike::alike;
pub use generate::generate;
pub use pace::pace;
