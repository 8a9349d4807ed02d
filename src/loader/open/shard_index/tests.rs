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
        (r#"{"weight_map":{"a":"m-1.safetensors","x":"m-2.safetensors"}}"#, Some("b")),
        (
            r#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-2.safetensors"}}"#,
            Some("c"),
        ),
        (&SOUND.replace("24", "25"), None),
    ] {
        let (_folder, path) = set(index);
        let error = load_set(&path).unwrap_err();
        assert_eq!(error.code(), Code::InvalidIndex, "{index}: {error}");
        assert_eq!(error.failure().tensor.as_deref(), tensor, "{index}: {error}");
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
