//! A case's files and models: written before its first step, removed behind its last.

use std::fs;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use super::plain_folder::Shelf;
use super::{Attempt, Placed, Stop};
use crate::harness::case::forward::ModelSource;
use crate::harness::fixture::Fixture;
use crate::harness::model::file;
use crate::harness::run::{PlaceError, PlacedModel};

impl Attempt<'_> {
    /// Writes them.
    ///
    /// # Errors
    /// [`Stop::Fault`]; untested where the run's own checkpoint has not what the case is about.
    pub(crate) fn place_files(&mut self) -> Result<(), Stop> {
        self.gathering(|this| {
            if this.case.elsewhere {
                let shelf = Shelf::beside(&this.lab.setting.scratch, this.seed("shelf"));
                this.shelf = Some(shelf.map_err(|error| Stop::Fault(error.to_string()))?);
            }
            let checkpoint = this.lab.setting.checkpoint.as_deref();
            let files = checkpoint.map(file::of_checkpoint).transpose();
            let files = files.map_err(|error| Stop::Fault(format!("--model: {error}")))?;
            // A case about one file takes the first of several.
            let first = files.as_ref().and_then(|files| files.first());
            for (name, recipe) in &this.case.files {
                let seed = this.seed(name);
                let fixture = Fixture::build(recipe, seed, first.map(PathBuf::as_path))
                    .map_err(|error| Stop::Fault(format!("{name}: {error}")))?;
                let mut path = fixture
                    .write(this.folder())
                    .map_err(|error| Stop::Fault(format!("{name}: {error}")))?;
                if let Some(shelf) = &mut this.shelf {
                    path = shelf
                        .take_file(&path)
                        .map_err(|error| Stop::Fault(format!("{name}: {error}")))?;
                }
                this.files.insert(name.clone(), Placed { fixture: Arc::new(fixture), path });
            }
            // Those that are others once more come last.
            let mut sources: Vec<_> = this.case.models.iter().collect();
            sources.sort_by_key(|(_, source)| source.same_as.is_some());
            for (name, source) in sources {
                let mut model = this.model_of(name, source).map_err(|error| match error {
                    PlaceError::Lacking(why) => Stop::Untested(why),
                    error => Stop::Fault(format!("{name}: {error}")),
                })?;
                if let Some(shelf) = this.shelf.as_mut().filter(|_| !source.is_full_size()) {
                    let folder = shelf.take_folder(&model.folder);
                    model.moved(folder.map_err(|error| Stop::Fault(format!("{name}: {error}")))?);
                }
                let placed =
                    Placed { fixture: Arc::clone(&model.fixture), path: model.weights.clone() };
                this.files.insert(name.clone(), placed);
                this.encoders.insert(name.clone(), model);
            }
            Ok(())
        })
    }

    fn model_of(&self, name: &str, source: &ModelSource) -> Result<PlacedModel, PlaceError> {
        let (seed, setting) = (self.seed(name), &self.lab.setting);
        let checkpoint = setting.checkpoint.as_deref();
        if source.is_full_size() {
            let held = setting.full_size.take();
            // It outlives the case, and so does its folder.
            let made = || PlacedModel::place(source, seed, &setting.scratch, checkpoint);
            return held.map_or_else(made, Ok);
        }
        let first = source
            .same_as
            .as_ref()
            .and_then(|first| Some((self.case.models.get(first)?, self.encoders.get(first)?)));
        match first {
            None => PlacedModel::place(source, seed, self.folder(), checkpoint),
            Some((of, first)) => first.again(of, source, self.folder()),
        }
    }

    /// Removes them.
    pub fn tidy(&mut self) {
        for (name, model) in mem::take(&mut self.encoders) {
            if self.case.models.get(&name).is_some_and(ModelSource::is_full_size) {
                self.files.remove(&name);
                self.lab.setting.full_size.leave(model);
                continue;
            }
            let _gone = fs::remove_dir_all(&model.folder);
        }
        for placed in mem::take(&mut self.files).into_values() {
            // Directories, loops and pipes included; what is gone already is fine.
            let _gone = fs::remove_file(&placed.path).or_else(|_| fs::remove_dir_all(&placed.path));
        }
    }
}
