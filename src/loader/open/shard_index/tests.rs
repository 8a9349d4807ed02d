//! Tests models in two files through the whole load path on the host.

use crate::contract::Code;
use std::fs;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::loader::decisions::Honest;
use crate::loader::device::Gpus;
use crate::loader::load::load;
use crate::loader::load::model::Model;
use crate::loader::load::tests::{F32_ONES, file_of, request};
use crate::loader::open::files::Files;
use crate::loader::open::shard_index::*;
use crate::loader::progress::Progress;

const SOUND: &str = r#"{"metadata":{"total_size":24},
    "weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#;

fn set(index: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for (shard, tensor) in [("m-1.safetensors", "a"), ("m-2.safetensors", "b")] {
        let file = file_of(&[(tensor, "F32", &[3], &F32_ONES)]);
        fs::copy(file.path(), folder.path().join(shard)).unwrap();
    }
    let path = folder.path().join("m.safetensors.index.json");
    fs::write(&path, index).unwrap();
    (folder, path)
}

fn load_set(path: &Path) -> Result<Model> {
    load(&mut Gpus::default(), &Honest, &request(path), &Progress::default())
}

#[test]
fn two_files_are_one_model() {
    let (folder, path) = set(SOUND);
    let model = load_set(&path).unwrap();
    let names: Vec<&str> = model.tensors.iter().map(|tensor| tensor.info.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    for tensor in &model.tensors {
        assert_eq!(model.read(tensor).unwrap(), F32_ONES);
    }
    let mut both = Sha256::new();
    for shard in ["m-1.safetensors", "m-2.safetensors"] {
        both.update(Sha256::digest(fs::read(folder.path().join(shard)).unwrap()));
    }
    assert_eq!(model.sha256, <[u8; 32]>::from(both.finalize()));
}

#[test]
fn what_the_index_and_the_shards_disagree_on_is_refused() {
    for (index, tensor) in [
        ("not json", None),
        ("{}", None),
        (r#"{"weight_map":{"a":"m-1.safetensors","a":"m-2.safetensors"}}"#, None),
        (r#"{"weight_map":{"a":"../m-1.safetensors","b":"m-2.safetensors"}}"#, None),
        (r#"{"weight_map":{"a":"/m-1.safetensors","b":"m-2.safetensors"}}"#, None),
        (r#"{"weight_map":{"a":"m-1.bin","b":"m-2.safetensors"}}"#, None),
        (r#"{"weight_map":{"a":"m-2.safetensors","b":"m-1.safetensors"}}"#, Some("a")),
        (r#"{"weight_map":{"a":"m-1.safetensors","x":"m-2.safetensors"}}"#, Some("x")),
        (
            r#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-2.safetensors"}}"#,
            Some("c"),
        ),
    ] {
        let (_folder, path) = set(index);
        let error = load_set(&path).unwrap_err();
        assert_eq!(error.code(), Code::InvalidIndex, "{index}: {error}");
        assert_eq!(error.failure().tensor.as_deref(), tensor, "{index}: {error}");
    }
}

#[test]
fn what_is_beside_the_map_decides_nothing_and_is_told() {
    for (metadata, told) in [
        (r#"{"total_size":24}"#, None),
        (r#"{"total_size":24,"total_parameters":6}"#, None),
        (r#"{"total_size":null}"#, None),
        ("{}", None),
        ("null", None),
        (r#"{"total_size":6}"#, Some("is 6;")),
        (r#"{"total_size":24.0}"#, Some("is 24.0;")),
        (r#"{"total_size":"24"}"#, Some("24")),
        (r#"{"total_size":-1}"#, Some("is -1;")),
    ] {
        let (_folder, path) = set(&SOUND.replace(r#"{"total_size":24}"#, metadata));
        load_set(&path).unwrap();
        assert_notes(&path, told);
    }
    let (_folder, path) = set(&SOUND.replace(r#"{"metadata":{"total_size":24},"#, "{"));
    load_set(&path).unwrap();
    assert_notes(&path, None);
}

/// A tensor that the index leaves out is loaded, and told.
#[test]
fn a_tensor_that_the_index_leaves_out_is_loaded() {
    let (folder, path) = set(&SOUND.replace("24", "36"));
    let two = file_of(&[("b", "F32", &[3], &F32_ONES), ("c", "F32", &[3], &F32_ONES)]);
    fs::copy(two.path(), folder.path().join("m-2.safetensors")).unwrap();
    let model = load_set(&path).unwrap();
    assert!(model.tensor("c").is_ok());
    assert_notes(&path, Some("leaves out the tensor \"c\""));
}

#[test]
fn a_tensor_in_two_shards_is_refused_with_both() {
    let (folder, path) = set(SOUND);
    let two = file_of(&[("b", "F32", &[3], &F32_ONES), ("a", "F32", &[3], &F32_ONES)]);
    fs::copy(two.path(), folder.path().join("m-2.safetensors")).unwrap();
    let error = load_set(&path).unwrap_err();
    assert_eq!((error.code(), error.failure().tensor.as_deref()), (Code::InvalidIndex, Some("a")));
    let actual = error.failure().actual.clone().unwrap_or_default();
    assert!(actual.contains("m-1.safetensors") && actual.contains("m-2.safetensors"), "{actual}");
}

fn assert_notes(path: &Path, told: Option<&str>) {
    let keep = crate::contract::request::DtypePolicy::Stored;
    let files = Files::open(path, Default::default(), &Honest, keep, false).unwrap();
    match (files.notes(), told) {
        ([], None) => {}
        ([note], Some(told)) => assert!(note.contains(told), "{note}"),
        (notes, told) => panic!("{notes:?}, and not {told:?}"),
    }
}

#[test]
fn a_missing_shard_is_named() {
    let (folder, path) = set(SOUND);
    let shard = folder.path().join("m-2.safetensors");
    fs::remove_file(&shard).unwrap();
    let error = load_set(&path).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(error.failure().path.as_deref(), shard.to_str());
}
