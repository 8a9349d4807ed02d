//! A model in another format, from the same weights: what is written, and what a loader must hold of it.
//!
//! The judge writes by other people's libraries, candle for GGUF and `apr-format` for APR, so that no
//! misreading of a format can be shared with a loader made here.

mod apr;
mod beside;
mod damage;
mod gguf;
mod written;

use super::Model;
use crate::contract::request::Format;

pub use self::beside::{Beside, Cut};
pub use self::damage::{Break, apply};
pub use self::written::{Quantised, Written};

/// Writes a model.
///
/// # Errors
/// What the format has no words for.
pub fn write(
    model: &Model,
    format: Format,
    quantised: Option<Quantised>,
    beside: &Beside,
) -> Result<Written, String> {
    match (format, quantised) {
        (Format::Gguf, _) => gguf::write(model, quantised, beside),
        (Format::Apr, None) => apr::write(model, beside),
        (Format::Apr, Some(_)) => Err("quantised models are written as GGUF alone".to_owned()),
        (Format::Safetensors, _) => Err("safetensors is written elsewhere".to_owned()),
    }
}
