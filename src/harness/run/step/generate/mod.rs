//! Steps in which decoders generate. The oracle judges each token.

mod agree;
mod answer;
mod bit_identical;
mod clock;
mod drift;
mod judge;
mod runtime;
mod sample;
mod stored;
mod throughput;

pub use self::agree::agree;
pub use self::answer::generate;
pub use self::bit_identical::bit_identical;
pub use self::drift::drift;
pub use self::runtime::NO_RUNTIME;
pub use self::sample::sample;
pub use self::stored::stored;
pub use self::throughput::throughput;
