//! Decoders that go on from a prompt, token by token against the oracle.

mod agree;
mod alike;
mod drift;
mod generate;
mod greedy;
mod judge;
mod pace;
mod prompt;
mod runtime;

pub use agree::agree;
pub use alike::alike;
pub use drift::drift;
pub use generate::generate;
pub use pace::pace;
