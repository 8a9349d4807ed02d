//! Writes a model in another format, and gives the model that a loader must hold after loading it.
//!
//! The judge writes with third-party libraries (candle for GGUF, `apr-format` for APR), so that it
//! does not share a wrong reading of a format with the reference loader.

mod apr;
mod beside;
mod damage;
mod file;
mod form;
mod gguf;
mod golden;
mod in_form;
mod written;

use super::Model;
use crate::contract::request::Format;

pub use self::beside::{Beside, Cut};
pub use self::damage::{Break, apply};
pub use self::form::GgufForm;
pub use self::golden::{Pairs, Pieces};
pub use self::written::{Quantised, Written};

/// Writes a model.
///
/// # Errors
/// If the format cannot express the model, or the library fails.
pub fn write(
    model: &Model,
    format: Format,
    quantised: Option<Quantised>,
    form: Option<&GgufForm>,
    beside: &Beside,
) -> Result<Written, String> {
    match (format, quantised) {
        (Format::Gguf, _) => gguf::write(model, quantised, form, beside),
        (Format::Apr, None) => apr::write(model, beside),
        (Format::Apr, Some(_)) => Err("quantised models can be written as GGUF only".to_owned()),
        (Format::Safetensors, _) => Err("this function does not write safetensors".to_owned()),
    }
}
