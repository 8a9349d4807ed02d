//! Places a small random decoder with the small chat model's tokenizer and a chat template that
//! transformers has rendered.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::placed::{PlaceError, PlacedModel};
use crate::harness::model::chat::{SMALL, TOKENIZER, Voice};
use crate::harness::model::goldens::Golden;
use crate::harness::model::{Architecture, HeadKind, Model, random};

/// Tokens of the small chat model's tokenizer.
const VOCABULARY: usize = 1024;
/// The special tokens of the table, which the tokenizer gets as well.
const ADDED: [&str; 8] = ["<s>", "</s>", "<unk>", "<sep>", "<pad>", "<cls>", "<mask>", "<extra>"];
/// Room for every conversation of the table.
const LONGEST: usize = 2048;

/// Writes the model below a folder, with the files of this row of the table.
pub(super) fn place(row: &str, seed: u64, below: &Path) -> Result<PlacedModel, PlaceError> {
    let golden = Golden::named(row).map_err(PlaceError::Source)?;
    let mut recipe = random::recipe(Architecture::Qwen2, Some(HeadKind::Logits), seed);
    let vocabulary = VOCABULARY + ADDED.len();
    (recipe.sizes.vocabulary, recipe.sizes.dimension) = (vocabulary, vocabulary);
    recipe.sizes.positions = LONGEST;
    let mut placed = PlacedModel::write(Model::build(&recipe), recipe, below)?;
    let tokenizer = SMALL.get_file(TOKENIZER).map(include_dir::File::contents);
    let lacking = || PlaceError::Source(format!("the chat model has no {TOKENIZER}"));
    let mut tokenizer: Value = serde_json::from_slice(tokenizer.ok_or_else(lacking)?)?;
    if let Some(added) = tokenizer["added_tokens"].as_array_mut() {
        added.extend(ADDED.iter().enumerate().map(|(at, token)| {
            json!({
                "id": VOCABULARY + at, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            })
        }));
    }
    fs::write(placed.folder.join(TOKENIZER), serde_json::to_vec(&tokenizer)?)?;
    golden.write(&placed.folder)?;
    let voice = Voice::golden(&placed.folder, golden);
    placed.voice = Some(voice.map_err(PlaceError::Source)?);
    Ok(placed)
}
