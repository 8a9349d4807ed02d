//! Decoders make text and encoders make embeddings. A command that gets a model of the other kind
//! says so, and which command runs it.

use std::path::Path;

use super::{CommandError, gate};
use crate::contract::{Class, Code, Failure, Phase};
use crate::loader::infer::config::{Architecture, Config};
use crate::loader::open::checkpoint::Checkpoint;

/// The architecture that `config.json` names. `None` if there is no such file or it cannot be read:
/// the load says why. A GGUF or APR file has none beside it, and holds a decoder.
pub fn architecture(checkpoint: &Checkpoint) -> Option<Architecture> {
    let config = Config::read(&checkpoint.beside("config.json")?).ok()?;
    Some(config.architecture)
}

/// Refuses a model that makes no text.
///
/// # Errors
/// 6 for an encoder or a projection.
pub fn must_be_decoder(checkpoint: &Checkpoint, model: &Path) -> Result<(), CommandError> {
    match architecture(checkpoint) {
        Some(architecture) if !architecture.is_decoder() => {
            let model = model.display();
            let input = match architecture {
                Architecture::Projection => "--input FILE",
                _ => "--text TEXT",
            };
            let failure = unsupported("this model makes no text")
                .expected("a decoder", format!("{}, which is an encoder", architecture.name()))
                .remedy(format!("to get an embedding, use `weighbridge embed {model} {input}`"));
            Err(gate::refusal(failure))
        }
        _ => Ok(()),
    }
}

/// The refusal of a decoder whose states nothing says how to pool.
pub fn must_be_encoder(name: &str, model: &Path) -> CommandError {
    let model = model.display();
    let failure = unsupported("this model is a decoder, and nothing says how to pool its states")
        .expected("an encoder, or a modules.json that names a pooling", format!("{name}, a decoder"))
        .remedy(format!(
            "to get text, use `weighbridge run {model} --prompt TEXT`; if it was trained as an embedding \
             model, name its pooling with --pooling"
        ));
    gate::refusal(failure)
}

/// A failure of this kind: the model is sound, and the command does not serve it.
pub fn unsupported(message: impl Into<String>) -> Failure {
    Failure::new(Class::Unsupported, Phase::Request, Code::UnsupportedCapability, message)
}
