//! Decoders that go on from a prompt, token by token against the oracle.

mod agree;
mod alike;
mod drift;
mod generate;
mod greedy;
mod judge;
mod pace;
pub(super) mod prompt;
mod runtime;

pub use agree::agree;
pub use alike::alike;
pub use drift::drift;
pub use generate::generate;
pub(super) use greedy::greedy;
pub(super) use judge::Wanted;
pub use pace::pace;
