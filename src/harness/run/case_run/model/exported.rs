//! Writes a made model's files as another tool would have left them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::placed::{PlaceError, PlacedModel, names};
use crate::harness::case::exported::{Beside, Buffer, Exported, IndexForm, Layout};
use crate::harness::fixture::Fixture;
use crate::harness::hex::hex;
use crate::harness::model::surgery::{buffers, words};
use crate::harness::model::{Model, Tensor, file};
use crate::harness::regular;

/// Changes the files of a model that was just written, and what the harness knows of them. The model
/// that the oracle reads stays as it is.
pub(super) fn export(exported: &Exported, placed: &mut PlacedModel) -> Result<(), PlaceError> {
    let mut model = Model::clone(&placed.model);
    let own = names(&model);
    change_tensors(exported, &mut model)?;
    file::write_model(&model, &placed.folder)?;
    change_index(&exported.index, placed, &model)?;
    for beside in &exported.beside {
        lay_beside(beside, placed, &model)?;
    }
    let of_model = own.iter().filter(|name| !placed.stray.contains(name));
    let of_model: BTreeSet<String> = of_model.map(|name| renamed(exported, name)).collect();
    placed.stray = names(&model).difference(&of_model).cloned().collect();
    let files = file::of_checkpoint(&placed.weights)?;
    let read = |path: std::path::PathBuf| {
        let bytes = regular::read(&path)?;
        let digest = hex(&Sha256::digest(&bytes));
        Ok((bytes, digest))
    };
    let files = files.into_iter().map(read).collect::<Result<Vec<_>, PlaceError>>()?;
    let fixture = Fixture::of_files(files);
    placed.fixture = Arc::new(fixture.map_err(|error| PlaceError::Source(error.to_string()))?);
    match exported.layout {
        Layout::Folder => Ok(()),
        layout => into_hub_cache(placed, layout == Layout::HubCacheCut),
    }
}

/// A tensor's name in the file.
fn renamed(exported: &Exported, name: &str) -> String {
    let renamed = exported
        .renamed
        .iter()
        .fold(name.to_owned(), |name, (from, to)| name.replace(from.as_str(), to.as_str()));
    format!("{}{renamed}", exported.prefix)
}

fn change_tensors(exported: &Exported, model: &mut Model) -> Result<(), PlaceError> {
    let missing = |name: &str| PlaceError::Source(format!("no tensor {name} to be exported"));
    let mut more: Vec<Tensor> =
        exported.buffers.iter().flat_map(|buffer| made(*buffer, model)).collect();
    let bare = Exported { prefix: String::new(), ..exported.clone() };
    for tensor in model.tensors.iter_mut().chain(&mut more) {
        tensor.name = renamed(&bare, &tensor.name);
    }
    for (changed, pairs) in [(false, &exported.copied), (true, &exported.doubled)] {
        for (from, to) in pairs {
            let mut copy = model.tensor(from).cloned().ok_or_else(|| missing(from))?;
            copy.name.clone_from(to);
            if changed {
                copy = other_values(&copy);
            }
            model.tensors.push(copy);
        }
    }
    for (name, dtype) in &exported.stored_as {
        model.tensor_mut(name).ok_or_else(|| missing(name))?.dtype = *dtype;
    }
    // Between the weights, as the modules order them.
    model.tensors.splice(1..1, more);
    for tensor in &mut model.tensors {
        tensor.name.insert_str(0, &exported.prefix);
    }
    Ok(())
}

/// The tensors of a buffer, with the names that the model's modules give them.
fn made(buffer: Buffer, model: &Model) -> Vec<Tensor> {
    match buffer {
        Buffer::Mask(dtype) => buffers::masks(model, dtype),
        Buffer::MaskedBias(dtype) => buffers::masked_biases(model, dtype),
        Buffer::PositionIds(dtype) => buffers::position_ids(model, dtype),
        Buffer::InvFreq(dtype) => buffers::rotary_tables(model, dtype),
    }
}

/// The same tensor with other values: its elements in the opposite order.
fn other_values(tensor: &Tensor) -> Tensor {
    let width = (tensor.dtype.bits() / 8).max(1) as usize;
    let bytes = tensor.bytes.chunks(width).rev().flatten().copied().collect();
    Tensor { bytes, ..tensor.clone() }
}

fn change_index(form: &IndexForm, placed: &PlacedModel, model: &Model) -> Result<(), PlaceError> {
    if *form == IndexForm::default() {
        return Ok(());
    }
    let mut index: Value = serde_json::from_slice(&regular::read(&placed.weights)?)?;
    let fault = |what: &str| PlaceError::Source(format!("the index of an exported model: {what}"));
    if let Some(text) = &form.metadata
        && let Some(index) = index.as_object_mut()
    {
        index.remove("metadata");
        if !text.is_empty() {
            index.insert("metadata".to_owned(), serde_json::from_str(text)?);
        }
    }
    let map = index["weight_map"].as_object_mut().ok_or_else(|| fault("no weight_map"))?;
    if let Some(name) = &form.unmapped {
        map.remove(name).ok_or_else(|| fault("no such tensor to be left out"))?;
    }
    if let Some(name) = &form.twice {
        let tensor = model.tensor(name).ok_or_else(|| fault("no such tensor to be doubled"))?;
        let own = map.get(name).and_then(Value::as_str);
        let shards = map.values().filter_map(Value::as_str);
        let other = shards.into_iter().find(|shard| Some(*shard) != own);
        let path = placed.folder.join(other.ok_or_else(|| fault("one shard alone"))?);
        let mut tensors = Model::tensors_of(&regular::read(&path)?).map_err(PlaceError::Source)?;
        tensors.push(tensor.clone());
        write_one(&path, tensors)?;
    }
    fs::write(&placed.weights, serde_json::to_vec(&index)?)?;
    Ok(())
}

fn lay_beside(beside: &Beside, placed: &PlacedModel, model: &Model) -> Result<(), PlaceError> {
    let folder = &placed.folder;
    let other = || model.tensors.iter().map(other_values).collect::<Vec<_>>();
    match beside {
        Beside::StaleIndex => {
            let shard = |at: usize| json!(format!("model-{:05}-of-00002.safetensors", at % 2 + 1));
            let names = model.tensors.iter().enumerate();
            let map: Map<String, Value> =
                names.map(|(at, tensor)| (tensor.name.clone(), shard(at))).collect();
            let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
            fs::write(folder.join(file::INDEX), serde_json::to_vec(&index)?)?;
        }
        Beside::OtherShards => {
            let shards = Model { tensors: other(), shards: 2, ..model.clone() };
            file::write_model(&shards, folder)?;
        }
        Beside::Adapter => {
            let words = words(model).ok_or_else(|| PlaceError::Source("no table".to_owned()))?;
            let (rank, width) = (2, words.shape[1]);
            let part = |side: &str, shape: [usize; 2]| Tensor {
                name: format!("base_model.model.layers.0.self_attn.q_proj.lora_{side}.weight"),
                dtype: words.dtype,
                shape: shape.to_vec(),
                bytes: words.bytes[..rank * width * (words.dtype.bits() / 8) as usize].to_vec(),
            };
            let tensors = vec![part("A", [rank, width]), part("B", [width, rank])];
            write_one(&folder.join("adapter_model.safetensors"), tensors)?;
            let config = json!({
                "peft_type": "LORA", "r": rank, "lora_alpha": 64, "target_modules": ["q_proj"],
            });
            fs::write(folder.join("adapter_config.json"), serde_json::to_vec(&config)?)?;
        }
        Beside::Weights(name) => write_one(&folder.join(name), other())?,
        Beside::Noise(name) => {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(path, name.repeat(40))?;
        }
    }
    Ok(())
}

/// Writes tensors as one safetensors file, and makes its folder.
fn write_one(path: &Path, tensors: Vec<Tensor>) -> Result<(), PlaceError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let apart = parent.join(format!("{:016x}", rand::random::<u64>()));
    fs::create_dir_all(&apart)?;
    let head = crate::contract::inference::Head::Logits {};
    let model = Model { config: Value::Null, head, tensors, shards: 1 };
    file::write_model(&model, &apart)?;
    fs::rename(apart.join(file::SINGLE), path)?;
    fs::remove_dir_all(apart)?;
    Ok(())
}

/// Moves every file of the model's folder to `blobs`, under its digest, and puts links to them in its
/// place in `snapshots`.
fn into_hub_cache(placed: &mut PlacedModel, cut: bool) -> Result<(), PlaceError> {
    let blobs = placed.folder.join("blobs");
    let snapshot = placed.folder.join("snapshots").join("0123456789abcdef0123456789abcdef01234567");
    fs::create_dir(&blobs)?;
    fs::create_dir_all(&snapshot)?;
    let refs = placed.folder.join("refs");
    fs::create_dir(&refs)?;
    fs::write(refs.join("main"), "0123456789abcdef0123456789abcdef01234567")?;
    let last = file::of_checkpoint(&placed.weights)?.pop();
    let files: Vec<_> = fs::read_dir(&placed.folder)?.collect::<Result<_, _>>()?;
    for entry in files.iter().filter(|entry| entry.path().is_file()) {
        let blob = hex(&Sha256::digest(regular::read(&entry.path())?));
        fs::rename(entry.path(), blobs.join(&blob))?;
        symlink(Path::new("../../blobs").join(&blob), snapshot.join(entry.file_name()))?;
        if cut && last.as_ref() == Some(&entry.path()) {
            fs::remove_file(blobs.join(&blob))?;
        }
    }
    placed.moved(snapshot);
    Ok(())
}
