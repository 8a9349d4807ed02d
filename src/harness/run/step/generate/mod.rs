//! Decoders that go on from a prompt, token by token against the oracle.

mod agree;
mod alike;
mod answer;
mod drift;
mod greedy;
mod judge;
mod pace;
pub(super) mod prompt;
mod runtime;

pub use self::agree::agree;
pub use self::alike::alike;
pub use self::answer::generate;
pub use self::drift::drift;
pub(super) use self::greedy::greedy;
pub(super) use self::judge::Wanted;
pub use self::pace::pace;
