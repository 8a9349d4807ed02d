//! Moves a model's weights into a folder of their own, beside documents that belong to another model. A request
//! names every document, and those count.

use std::fs;

use serde_json::{Value, json};

use super::placed::{PlaceError, PlacedModel};
use crate::harness::model::{chat, file, published};

/// The folder of the weights.
const FOLDER: &str = "weights";

/// Names of the number that is added in norms.
const EPSILONS: [&str; 3] = ["rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"];

/// Moves the weights, and writes other documents beside them.
pub(super) fn move_weights(placed: &mut PlacedModel) -> Result<(), PlaceError> {
    let name = placed.weights.file_name().filter(|_| placed.model.shards == 1);
    let name = name.ok_or_else(|| PlaceError::Source("weights in several files".to_owned()))?;
    let folder = placed.folder.join(FOLDER);
    fs::create_dir(&folder)?;
    let weights = folder.join(name);
    fs::rename(&placed.weights, &weights)?;
    let mut config: Value = serde_json::from_slice(&fs::read(placed.folder.join(file::CONFIG))?)?;
    for name in EPSILONS {
        if let Some(stated) = config.get_mut(name) {
            *stated = json!(0.7);
        }
    }
    fs::write(folder.join(file::CONFIG), config.to_string())?;
    // With these settings any token ends the sequence.
    let all: Vec<usize> = (0..placed.vocabulary()).collect();
    fs::write(folder.join(chat::GENERATION), json!({ "eos_token_id": all }).to_string())?;
    for name in [chat::TOKENIZER, published::TEMPLATE] {
        fs::write(folder.join(name), "{}")?;
    }
    placed.weights = weights;
    Ok(())
}
