//! Places a small random decoder with the small chat model's tokenizer and a chat template that
//! transformers has rendered.

use std::fs;
use std::path::Path;

use super::placed::{PlaceError, PlacedModel};
use crate::harness::model::chat::{SMALL, TOKENIZER, Voice};
use crate::harness::model::goldens::Golden;
use crate::harness::model::{Architecture, HeadKind, Model, random};

/// Tokens of the small chat model's tokenizer.
const VOCABULARY: usize = 1024;
/// Room for every conversation of the table.
const LONGEST: usize = 2048;

/// Writes the model below a folder, with the files of this row of the table.
pub(super) fn place(row: &str, seed: u64, below: &Path) -> Result<PlacedModel, PlaceError> {
    let golden = Golden::named(row).map_err(PlaceError::Source)?;
    let mut recipe = random::recipe(Architecture::Qwen2, Some(HeadKind::Logits), seed);
    (recipe.sizes.vocabulary, recipe.sizes.dimension) = (VOCABULARY, VOCABULARY);
    recipe.sizes.positions = LONGEST;
    let mut placed = PlacedModel::write(Model::build(&recipe), recipe, below)?;
    let tokenizer = SMALL.get_file(TOKENIZER).map(include_dir::File::contents);
    let lacking = || PlaceError::Source(format!("the chat model has no {TOKENIZER}"));
    fs::write(placed.folder.join(TOKENIZER), tokenizer.ok_or_else(lacking)?)?;
    golden.write(&placed.folder)?;
    let voice = Voice::golden(&placed.folder, golden);
    placed.voice = Some(voice.map_err(PlaceError::Source)?);
    Ok(placed)
}
