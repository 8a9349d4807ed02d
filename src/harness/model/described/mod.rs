//! The judge's own reading of a published model folder: `config.json` with every place where a fact
//! may stand, and the tensors of the weight files. The result says everything that decides the
//! model's outputs. It shares no code with a loader's reading.
//!
//! A fact that is left out has the value that the transformers library gives it. What the judge
//! cannot describe is an error: its cases are untested, with that reason.

mod activation;
mod config;
mod facts;
mod family;
mod fields;
mod rotary;
mod settings;
mod strange;
mod unusual;
mod usual;
mod weights;
mod window;

pub use self::facts::{Described, architecture};
pub use self::settings::settings;
pub use self::strange::unknown_weights;
pub use self::unusual::Unusual;
pub use self::usual::keys;
pub use self::weights::{HEAD, Naming, body, is_words};

#[cfg(test)]
mod tests;
