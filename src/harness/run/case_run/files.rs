//! Writes a case's files and models before its first step, and removes them after its last.

use std::fs;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use super::model::{Given, Kind, PlaceError, PlacedModel, place};
use super::published_name_dir::PublishedNameDir;
use super::setting::Setting;
use super::{CaseEnd, CaseRun, FixtureOnDisk};
use crate::harness::case::model::ModelSource;
use crate::harness::fixture::Fixture;
use crate::harness::model::file;

impl CaseRun<'_> {
    /// Writes the files and models.
    ///
    /// # Errors
    /// [`CaseEnd::Fault`]; [`CaseEnd::Untested`] if the run's own checkpoint lacks what the case
    /// needs.
    pub(crate) fn place_files(&mut self) -> Result<(), CaseEnd> {
        self.making(|this| {
            if this.case.elsewhere {
                let (setting, seed) = (&this.context.setting, this.seed("shelf"));
                let dir = setting.shelf().and_then(|shelf| match shelf {
                    Some(shelf) => PublishedNameDir::on(&shelf, seed),
                    None => PublishedNameDir::beside(&setting.scratch, seed),
                });
                this.published_names =
                    Some(dir.map_err(|error| CaseEnd::Fault(error.to_string()))?);
            }
            let checkpoint = this.context.setting.checkpoint.as_deref();
            let files = checkpoint.map(file::of_checkpoint).transpose();
            for (name, recipe) in &this.case.files {
                // A case about one file takes the first of several.
                let first = match &files {
                    Ok(files) => files.as_ref().and_then(|files| files.first()),
                    Err(error) if recipe.checkpoint => {
                        return Err(CaseEnd::Untested(format!("--model: {error}")));
                    }
                    Err(_) => None,
                };
                let seed = this.seed(name);
                let ahead = this.context.setting.shared_models.ahead.files.take(seed).map(Ok);
                let build = || Fixture::build(recipe, seed, first.map(PathBuf::as_path));
                let fixture = ahead.unwrap_or_else(build).map_err(|error| {
                    match first.filter(|_| recipe.checkpoint) {
                        Some(_) => CaseEnd::Untested(format!("--model: {error}")),
                        None => CaseEnd::Fault(format!("{name}: {error}")),
                    }
                })?;
                if let Some(path) = first.filter(|_| recipe.checkpoint && recipe.damage.is_empty())
                    && fixture.tensors.is_none()
                {
                    let why = format!("--model: {}: no valid safetensors file", path.display());
                    return Err(CaseEnd::Untested(why));
                }
                let mut path = fixture
                    .write(this.folder())
                    .map_err(|error| CaseEnd::Fault(format!("{name}: {error}")))?;
                if let Some(dir) = &mut this.published_names {
                    path = dir
                        .take_file(&path)
                        .map_err(|error| CaseEnd::Fault(format!("{name}: {error}")))?;
                }
                this.files.insert(name.clone(), FixtureOnDisk { fixture: Arc::new(fixture), path });
            }
            // Models that are made from other models come last.
            let mut sources: Vec<_> = this.case.models.iter().collect();
            sources.sort_by_key(|(_, source)| source.same_as.is_some());
            for (name, source) in sources {
                let mut model = this.model_of(name, source).map_err(|error| match error {
                    PlaceError::Lacking(why) => CaseEnd::Untested(why),
                    error => CaseEnd::Fault(format!("{name}: {error}")),
                })?;
                if let Some(dir) = &mut this.published_names
                    && let Some(own) = Arc::get_mut(&mut model)
                {
                    let folder = dir.take_folder(&own.folder);
                    own.moved(folder.map_err(|error| CaseEnd::Fault(format!("{name}: {error}")))?);
                }
                let placed = FixtureOnDisk {
                    fixture: Arc::clone(&model.fixture),
                    path: model.weights.clone(),
                };
                this.files.insert(name.clone(), placed);
                this.placed.insert(name.clone(), model);
            }
            Ok(())
        })
    }

    fn model_of(&self, name: &str, source: &ModelSource) -> Result<Arc<PlacedModel>, PlaceError> {
        let (seed, setting) = (self.seed(name), &self.context.setting);
        let given = self.given(source)?;
        let rewrites = self.case.rewrites_files();
        if source.is_shared() {
            return shared_model(setting, source, seed, given.as_deref());
        }
        if let Some(made) = setting.shared_models.ahead.models.take(seed) {
            return Ok(Arc::new(made));
        }
        let first = source
            .same_as
            .as_ref()
            .and_then(|first| Some((self.case.models.get(first)?, self.placed.get(first)?)));
        match first {
            None => place(source, seed, self.folder(), given.as_deref(), rewrites),
            Some((of, first)) => {
                if !source.format.is_usual() {
                    first.keep_ends_only()?;
                }
                first.again(of, source, self.folder())
            }
        }
        .map(Arc::new)
    }

    /// The run's own checkpoint, if it takes the place of a model.
    fn given(&self, source: &ModelSource) -> Result<Option<Arc<Given>>, PlaceError> {
        let setting = &self.context.setting;
        let stands_in = match self.context.kind() {
            Kind::Decoder(_) => self.context.stands_in(source),
            _ => source.gives_way(),
        };
        let (true, Some(checkpoint)) = (stands_in, &setting.checkpoint) else {
            return Ok(None);
        };
        match self.context.kind() {
            Kind::None | Kind::Encoder(_) => Ok(None),
            Kind::Unknown(why) => Err(PlaceError::Lacking(why.clone())),
            Kind::Decoder(_) => {
                setting.shared_models.given.get((), || Given::read(checkpoint)).map(Some)
            }
        }
    }

    /// Writes the documents of one model over those of another one with the same weights. From now on the
    /// second means the first.
    pub(crate) fn take_documents(&mut self, from: &str, over: &str) -> Result<(), CaseEnd> {
        let taken = self.placed_model(over)?.with_documents_of(self.placed_model(from)?);
        let taken = taken.map_err(|error| CaseEnd::Fault(error.to_string()))?;
        self.placed.insert(over.to_owned(), Arc::new(taken));
        Ok(())
    }

    /// Removes the files and models. Shared models stay for other cases.
    pub fn tidy(&mut self) {
        for (name, model) in mem::take(&mut self.placed) {
            if self.case.models.get(&name).is_some_and(ModelSource::is_shared) {
                self.files.remove(&name);
                continue;
            }
            let _gone = fs::remove_dir_all(&model.folder);
        }
        for placed in mem::take(&mut self.files).into_values() {
            if placed.fixture.is_in_shards() {
                let _gone = placed.path.parent().map(fs::remove_dir_all);
                continue;
            }
            // The path may be a directory, a loop or a pipe. It may also be gone already.
            let _gone = fs::remove_file(&placed.path).or_else(|_| fs::remove_dir_all(&placed.path));
        }
    }
}

/// A full-size model that several cases share. It outlives the case that makes it, so it lies outside
/// the folder of the case.
///
/// # Errors
/// As [`PlaceError`] says.
pub fn shared_model(
    setting: &Setting,
    source: &ModelSource,
    seed: u64,
    given: Option<&Given>,
) -> Result<Arc<PlacedModel>, PlaceError> {
    let folder = setting.cases()?;
    let make = || place(source, seed, &folder, given, false);
    setting.shared_models.full_size.get(source.sizes(), make)
}
