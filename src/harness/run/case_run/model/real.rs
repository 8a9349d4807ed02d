//! The run's own checkpoint in place of a generated decoder: its files as they were published, with
//! the changes that a case makes.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use super::damage::{self, to_files, to_model};
use super::given::{Given, stray};
use super::placed::{OracleCell, PlaceError, PlacedModel};
use crate::harness::case::model::ModelSource;
use crate::harness::model::apart::Bounds;
use crate::harness::model::chat::{self, Form, Voice};
use crate::harness::model::described::Described;
use crate::harness::model::{Model, file, published};

/// Endings of the files beside the weights that are copied.
const TEXTS: [&str; 4] = ["json", "jinja", "txt", "model"];

/// Larger files beside the weights are not copied.
const MOST_TEXT: u64 = 64 << 20;

/// Places the checkpoint below a folder. `rewrites` says that the case changes weight files in place,
/// so that they must be copies.
pub(super) fn place(
    source: &ModelSource,
    seed: u64,
    given: &Given,
    below: &Path,
    rewrites: bool,
) -> Result<PlacedModel, PlaceError> {
    // A tensor or file that the case damages may not exist in this checkpoint.
    let lacking = |error: PlaceError| PlaceError::Lacking(format!("--model: {error}"));
    let placed = match source.damage.iter().any(damage::is_of_model) {
        true => changed(source, given, below)?,
        false => as_it_is(given, below, rewrites)?,
    };
    let mut placed = PlacedModel {
        given: Some(Arc::clone(&given.described)),
        unusual: Arc::clone(&given.unusual),
        ..placed
    };
    if source.chat {
        voice(source, seed, &mut placed)?;
    }
    for damage in &source.damage {
        to_files(damage, &placed).map_err(lacking)?;
    }
    Ok(placed)
}

/// The checkpoint as it is. Its weight files are linked.
fn as_it_is(given: &Given, below: &Path, rewrites: bool) -> Result<PlacedModel, PlaceError> {
    let folder = below.join(format!("{:016x}", rand::random::<u64>()));
    fs::create_dir(&folder)?;
    let inside = |path: &Path| folder.join(path.file_name().unwrap_or_default());
    for path in &given.files {
        match rewrites {
            true => fs::copy(path, inside(path)).map(|_| ())?,
            false => link(path, &inside(path))?,
        }
    }
    copy_texts(given, &folder, &|_| true)?;
    let weights = inside(&given.checkpoint);
    Ok(PlacedModel {
        stray: given.stray.clone(),
        oracle: given.oracle.clone(),
        ..PlacedModel::of(
            folder,
            weights,
            given.described.recipe.clone(),
            Arc::clone(&given.model),
            Arc::clone(&given.fixture),
        )
    })
}

/// The checkpoint with other tensors or another configuration.
fn changed(source: &ModelSource, given: &Given, below: &Path) -> Result<PlacedModel, PlaceError> {
    let lacking = |error: PlaceError| PlaceError::Lacking(format!("--model: {error}"));
    let recipe = &given.described.recipe;
    let tensors = given.tensors();
    let (config, head) = (given.config.clone(), recipe.head());
    let mut model = Model { config, head, tensors, shards: given.files.len() };
    for damage in &source.damage {
        to_model(damage, &mut model, recipe).map_err(lacking)?;
    }
    let described = match model.config == given.config {
        true => Arc::clone(&given.described),
        // What the changed configuration says decides. Where it says nothing that can be described,
        // the case asks for a refusal.
        false => match Described::read(&model.config, &given.tensors()) {
            Ok((described, _)) => Arc::new(described),
            Err(_) => Arc::clone(&given.described),
        },
    };
    let mut placed = PlacedModel::write(model, described.recipe.clone(), below)?;
    // The judge's own index names the files that were written.
    copy_texts(given, &placed.folder, &|name| name != file::CONFIG && name != file::INDEX)?;
    placed.stray = stray(&given.naming, &placed.model.tensors);
    let shards = placed.model.shards;
    let written = Arc::unwrap_or_clone(placed.model);
    placed.model = Arc::new(given.naming.model(&described, written.tensors, shards));
    placed.oracle = OracleCell::default();
    Ok(placed)
}

/// Gives the model its tokenizer and template, for conversations.
fn voice(source: &ModelSource, seed: u64, placed: &mut PlacedModel) -> Result<(), PlaceError> {
    let told = |why: String| PlaceError::Lacking(format!("--model: {why}"));
    for name in [chat::TOKENIZER, published::TEMPLATE] {
        if !placed.folder.join(name).is_file() {
            return Err(PlaceError::Lacking(format!("--model has no {name}")));
        }
    }
    let voice = match source.made_template {
        true => {
            let form = Form::made(seed);
            chat::replace_template(&placed.folder, &form).map_err(told)?;
            speaks(placed, Some(form))
        }
        false => speaks(placed, None),
    };
    placed.voice = Some(voice.map_err(told)?);
    Ok(())
}

/// Reads the tokenizer, and the template where the judge knows none, in a process of its own.
fn speaks(placed: &PlacedModel, form: Option<Form>) -> Result<Voice, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    Voice::apart(&program, &placed.folder, form, Bounds::default())
}

/// Copies the published files beside the weights. An adapter's are left out, because it is another
/// model.
fn copy_texts(given: &Given, into: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(&given.folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let text = path
            .extension()
            .is_some_and(|ending| TEXTS.iter().any(|known| ending.eq_ignore_ascii_case(known)));
        let small = fs::metadata(&path).is_ok_and(|data| data.is_file() && data.len() <= MOST_TEXT);
        if text && small && wanted(name) && !name.starts_with("adapter_") {
            fs::copy(&path, into.join(name))?;
        }
    }
    Ok(())
}

/// Links a weight file: a hard link, or a symbolic one to another file system.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    let from = fs::canonicalize(from)?;
    fs::hard_link(&from, to).or_else(|_| symlink(&from, to)).or_else(|_| {
        fs::copy(&from, to)?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::case::model::ModelDamage;
    use crate::harness::model::{Architecture, HeadKind, random};

    /// A checkpoint of two weight files, with a text, an adapter's configuration and a large file.
    fn given(folder: &Path) -> Given {
        let mut recipe = random::recipe(Architecture::Qwen3, Some(HeadKind::Logits), 7);
        recipe.shards = 2;
        file::write_recipe(&recipe, folder, &|_| ()).unwrap();
        for name in ["generation_config.json", "adapter_config.json", "other.safetensors"] {
            fs::write(folder.join(name), "{}").unwrap();
        }
        Given::read(&folder.join(file::INDEX)).unwrap()
    }

    #[test]
    fn weight_files_are_linked_unless_the_case_changes_them() {
        let (own, below) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let given = given(own.path());
        let source = ModelSource { full_size: true, ..ModelSource::default() };
        let name = "model-00001-of-00002.safetensors";
        let before = fs::read(own.path().join(name)).unwrap();
        for rewrites in [false, true] {
            let placed = place(&source, 0, &given, below.path(), rewrites).unwrap();
            assert_eq!(placed.weights, placed.folder.join(file::INDEX));
            assert_eq!(fs::read(placed.folder.join(name)).unwrap(), before);
            assert!(placed.folder.join("generation_config.json").is_file());
            assert!(!placed.folder.join("adapter_config.json").exists());
            assert!(!placed.folder.join("other.safetensors").exists());
            fs::write(placed.folder.join(name), "changed").unwrap();
            let own = fs::read(own.path().join(name)).unwrap();
            assert_eq!(own == before, rewrites);
            fs::write(given.folder.join(name), &before).unwrap();
            fs::remove_dir_all(&placed.folder).unwrap();
        }
    }

    #[test]
    fn damage_is_done_to_a_copy_and_the_oracle_knows_of_it() {
        let (own, below) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let given = given(own.path());
        let name = "model.layers.0.mlp.up_proj.weight";
        let before = fs::read(own.path().join("model-00001-of-00002.safetensors")).unwrap();
        let damage =
            vec![ModelDamage::Zero(name.to_owned()), ModelDamage::Stray("stray.weight".to_owned())];
        let source = ModelSource { full_size: true, damage, ..ModelSource::default() };
        let placed = place(&source, 0, &given, below.path(), false).unwrap();
        assert!(placed.model.tensor(name).unwrap().values().iter().all(|value| *value == 0.0));
        assert_eq!(placed.stray, ["stray.weight"]);
        assert_eq!(placed.model.config, given.described.config());
        let after = fs::read(own.path().join("model-00001-of-00002.safetensors")).unwrap();
        assert_eq!(before, after);
        let damage = vec![ModelDamage::Drop("no.such.weight".to_owned())];
        let source = ModelSource { full_size: true, damage, ..ModelSource::default() };
        let lacking = place(&source, 0, &given, below.path(), false);
        assert!(matches!(lacking, Err(PlaceError::Lacking(_))));
    }
}
