//! Writes a model of a case again: in another file format, or with another head or configuration.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::damage::{to_files, to_model};
use super::placed::{PlaceError, PlacedModel};
use crate::contract::request::Format;
use crate::harness::case::model::ModelSource;
use crate::harness::fixture::Fixture;
use crate::harness::model::Model;
use crate::harness::model::foreign::{self, Beside};

impl PlacedModel {
    /// Writes this model's weights again. In another format they are one file, with tokenizer and
    /// template in it, alone in a folder. `of` is the source of this model.
    ///
    /// # Errors
    /// As [`PlaceError`] says.
    pub fn again(
        &self,
        of: &ModelSource,
        source: &ModelSource,
        below: &Path,
    ) -> Result<PlacedModel, PlaceError> {
        if source.format.is_usual() {
            return self.twin(source, below);
        }
        let fault = |why: String| match &self.given {
            Some(_) => PlaceError::Lacking(format!("--model: {why}")),
            None => PlaceError::Source(why),
        };
        if let Some(described) = &self.given {
            described.states(source.format).map_err(fault)?;
        }
        let mut model = Model::clone(&self.model);
        model.config["eos_token_id"] = json!(self.ends());
        // Another format has no place for tensors that the architecture does not use.
        model.tensors.retain(|tensor| !self.stray.contains(&tensor.name));
        let beside = Beside::read(&self.folder, of.cuts).map_err(fault)?;
        let written =
            foreign::write(&model, source.format, source.quantised, source.gguf.as_ref(), &beside);
        let written = written.map_err(fault)?;
        let mut bytes = written.bytes;
        for damage in &source.breaks {
            foreign::apply(&mut bytes, source.format, *damage).map_err(PlaceError::Source)?;
        }
        // Writes what a loader must hold as a safetensors file, to get its fixture. The file itself
        // is removed again.
        let mut placed = PlacedModel::write(written.held, self.recipe.clone(), below)?;
        fs::remove_dir_all(&placed.folder)?;
        fs::create_dir(&placed.folder)?;
        let form = source.gguf.clone().unwrap_or_default();
        let name = |part: usize| match source.format {
            Format::Apr => "model.apr".to_owned(),
            _ => form.name(part),
        };
        placed.weights = placed.folder.join(name(form.given));
        let files = [vec![bytes], written.others].concat();
        for (part, bytes) in (1..).zip(&files) {
            if form.lost != Some(part) {
                fs::write(placed.folder.join(name(part)), bytes)?;
            }
        }
        for name in &source.decoys {
            let mut other = files[0].clone();
            // Each value becomes another finite one: the last bit of its mantissa's first byte, and more.
            let data = other.len() / 2;
            other[data..].iter_mut().step_by(4).for_each(|byte| *byte ^= 0x5a);
            fs::write(placed.folder.join(name), other)?;
        }
        let known = Arc::try_unwrap(placed.fixture).map_err(|_| {
            PlaceError::Source("a fixture that is held twice before it is given away".to_owned())
        })?;
        placed.fixture = Arc::new(Fixture::imported(files, known));
        placed.format = source.format;
        placed.given.clone_from(&self.given);
        placed.voice.clone_from(&self.voice);
        placed.ending.clone_from(&self.ending);
        Ok(placed)
    }

    /// The same weights under another configuration, or damaged.
    fn twin(&self, source: &ModelSource, below: &Path) -> Result<PlacedModel, PlaceError> {
        let mut recipe = self.recipe.clone();
        recipe.output = source.output.unwrap_or(recipe.output);
        recipe.normalize = source.normalize.unwrap_or(recipe.normalize);
        let mut model = Model::clone(&self.model);
        model.head = recipe.head();
        for damage in &source.damage {
            to_model(damage, &mut model, &recipe)?;
        }
        let placed = PlacedModel::write(model, recipe, below)?;
        for damage in &source.damage {
            to_files(damage, &placed)?;
        }
        Ok(placed)
    }
}
