//! Applies the damage that a case names: to tensors and configuration in memory, or to written
//! files.

use std::fs;

use serde_json::{Value, json};

use super::decoder;
use super::placed::{PlaceError, PlacedModel};
use crate::contract::DType;
use crate::harness::case::model::ModelDamage;
use crate::harness::model::{Model, Recipe, Tensor, file, surgery};
use crate::harness::regular;

/// Whether a damage is done to the model in memory.
pub(super) fn is_of_model(damage: &ModelDamage) -> bool {
    use ModelDamage::{Drop, DropSome, Overflow, Set, Stray, StrayHead, Transpose, Unset, Zero};
    matches!(
        damage,
        Drop(_)
            | DropSome(_)
            | Transpose(_)
            | Set(..)
            | Unset(_)
            | Zero(_)
            | StrayHead
            | Stray(_)
            | Overflow
    )
}

/// Applies a damage to the model in memory, before it is written.
pub(super) fn to_model(
    damage: &ModelDamage,
    model: &mut Model,
    recipe: &Recipe,
) -> Result<(), PlaceError> {
    let missing = |name: &str| PlaceError::Source(format!("no tensor {name} to be damaged"));
    match damage {
        ModelDamage::Drop(name) => {
            let at = model.tensors.iter().position(|tensor| tensor.name == *name);
            model.tensors.remove(at.ok_or_else(|| missing(name))?);
        }
        ModelDamage::DropSome(count) => {
            model.tensors.drain(1..=*count);
        }
        ModelDamage::Transpose(name) => {
            model.tensor_mut(name).ok_or_else(|| missing(name))?.shape.reverse();
        }
        ModelDamage::Set(field, value) => {
            let value: Value =
                serde_json::from_str(value).map_err(|e| PlaceError::Source(e.to_string()))?;
            model.config[field.as_str()] = value;
        }
        ModelDamage::Unset(field) => {
            if let Some(config) = model.config.as_object_mut() {
                config.remove(field.as_str());
            }
        }
        ModelDamage::Zero(name) => {
            model.tensor_mut(name).ok_or_else(|| missing(name))?.bytes.fill(0);
        }
        ModelDamage::StrayHead => decoder::add_head(model, recipe),
        ModelDamage::Stray(name) => {
            let first = model.tensors.first().cloned().ok_or_else(|| missing(name))?;
            model.tensors.insert(1, Tensor { name: name.clone(), ..first });
        }
        ModelDamage::Overflow => {
            let name = surgery::last_norm(recipe).remove(0);
            let tensor = model.tensor_mut(&name).ok_or_else(|| missing(&name))?;
            let mut values = tensor.values();
            // The squares of such F32 and BF16 values exceed the largest F32, so that normalising
            // cannot make the output finite.
            let huge = if tensor.dtype == DType::F16 { 65504.0 } else { 3.0e38 };
            values.fill(huge);
            tensor.set_values(&values);
        }
        _ => {}
    }
    Ok(())
}

/// Applies a damage to the files that were written.
pub(super) fn to_files(damage: &ModelDamage, placed: &PlacedModel) -> Result<(), PlaceError> {
    let config = placed.folder.join(file::CONFIG);
    let shard = |number: usize| {
        let count = placed.model.shards;
        placed.folder.join(format!("model-{number:05}-of-{count:05}.safetensors"))
    };
    let index = |change: &dyn Fn(&mut Value)| -> Result<(), PlaceError> {
        let mut index: Value = serde_json::from_slice(&regular::read(&placed.weights)?)?;
        change(&mut index);
        fs::write(&placed.weights, serde_json::to_vec(&index)?)?;
        Ok(())
    };
    match damage {
        ModelDamage::NoConfig => fs::remove_file(config)?,
        ModelDamage::Leave(_)
        | ModelDamage::EndsApart
        | ModelDamage::CutTokenizer
        | ModelDamage::NoTemplate
        | ModelDamage::TemplateApart
        | ModelDamage::TemplateTwice
        | ModelDamage::TemplateBroken
        | ModelDamage::Template(_)
        | ModelDamage::Tokenizer(..)
        | ModelDamage::Swollen(_)
        | ModelDamage::Nested(_)
        | ModelDamage::EmptyTemplate => decoder::to_files(damage, placed)?,
        ModelDamage::Text(name, edits) => {
            let path = placed.folder.join(name);
            let text = edits.apply(&fs::read_to_string(&path)?).map_err(PlaceError::Source)?;
            fs::write(path, text)?;
        }
        ModelDamage::CutConfig => {
            let text = regular::read(&config)?;
            fs::write(config, &text[..text.len() / 2])?;
        }
        ModelDamage::ConfigTwice(field, value) => {
            let text = fs::read_to_string(&config)?;
            let first = format!("{{{}: {value},", json!(field));
            fs::write(config, text.replacen('{', &first, 1))?;
        }
        ModelDamage::NoTokenizer => fs::remove_file(placed.tokenizer_path())?,
        ModelDamage::NoShard => fs::remove_file(shard(placed.model.shards))?,
        ModelDamage::StrayShard => {
            let count = placed.model.shards;
            let name = format!("model-{:05}-of-{count:05}.safetensors", count + 1);
            fs::copy(shard(1), placed.folder.join(name))?;
        }
        ModelDamage::IndexNamesMore => index(&|index| {
            let first = index["weight_map"].as_object().and_then(|map| map.values().next());
            index["weight_map"]["stray.weight"] = first.cloned().unwrap_or(Value::Null);
        })?,
        ModelDamage::IndexMisplaces => index(&|index| {
            let names = [1, 2]
                .map(|number| json!(shard(number).file_name().map(|n| n.display().to_string())));
            if let Some(map) = index["weight_map"].as_object_mut()
                && let Some(place) = map.values_mut().next()
            {
                let other = usize::from(*place == names[0]);
                *place = names[other].clone();
            }
        })?,
        _ => {}
    }
    Ok(())
}
