//! Tests how a model's files are found, and what is told of a folder without them.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use crate::contract::Code;
use crate::contract::inference::{Compute, Pooling};
use crate::loader::open::checkpoint::*;

/// A folder with these empty files; a name that ends in `/` is a folder.
fn folder(names: &[&str]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for name in names {
        let path = folder.path().join(name);
        match name.ends_with('/') {
            true => fs::create_dir_all(path).expect("made"),
            false => fs::write(path, []).expect("written"),
        }
    }
    folder
}

#[test]
fn the_ending_of_a_name_is_the_format() {
    for (name, format) in [
        ("m/a.gguf", Format::Gguf),
        ("m/a.apr", Format::Apr),
        ("m/a.safetensors", Format::Safetensors),
        ("m/model.safetensors.index.json", Format::Safetensors),
        ("m/a.GGUF", Format::Safetensors),
        ("m/blob", Format::Safetensors),
    ] {
        let found = Checkpoint::find(Path::new(name)).expect("a file is not looked at");
        let wanted = Checkpoint { folder: "m".into(), weights: name.into(), format };
        assert_eq!(found, wanted);
    }
}

#[test]
fn a_whole_file_counts_before_an_index_and_what_is_there_before_what_is_broken() {
    let weights = |folder: &TempDir| {
        let found = Checkpoint::find(folder.path()).expect("weights");
        assert_eq!((found.folder.as_path(), found.format), (folder.path(), Format::Safetensors));
        found.weights.strip_prefix(folder.path()).expect("in the folder").to_owned()
    };
    assert_eq!(weights(&folder(&[SINGLE, INDEX])), Path::new(SINGLE));
    assert_eq!(weights(&folder(&[INDEX, "a.gguf"])), Path::new(INDEX));
    let broken = folder(&[]);
    symlink("nowhere", broken.path().join(SINGLE)).expect("linked");
    assert_eq!(weights(&broken), Path::new(SINGLE), "opening it tells where the link leads");
    fs::write(broken.path().join(INDEX), []).expect("written");
    assert_eq!(weights(&broken), Path::new(INDEX));
}

#[test]
fn a_folder_without_weights_is_refused_by_what_else_is_in_it() {
    let usual = "model.safetensors or model.safetensors.index.json";
    let named = WEIGHTS_OF_ANOTHER_NAME;
    let (b, index, bin) =
        (quote("b.safetensors"), quote("x.safetensors.index.json"), quote("w.bin"));
    for (names, cause, found) in [
        (&["readme.md"][..], NO_WEIGHTS.into(), "neither"),
        (&["z.gguf", "b.safetensors", "w.bin"], named.about([&b]), &*b),
        (&["b.safetensors", "x.safetensors.index.json"], named.about([&index]), &index),
        (&["a.apr"], named.about(["\"a.apr\""]), "\"a.apr\""),
        (&["w.bin", "z.pt"], ONLY_PYTORCH_WEIGHTS.about([&bin]), &bin),
        (&["adapter_model.safetensors"], ONLY_AN_ADAPTER.into(), "an adapter alone"),
        (&["adapter_model.bin"], ONLY_AN_ADAPTER.into(), "an adapter alone"),
        (
            &["adapter_model.safetensors", "b.safetensors", "w.bin"],
            ONLY_AN_ADAPTER.into(),
            "an adapter alone",
        ),
        (&["adapter_model.bin", "b.safetensors"], named.about([&b]), &b),
    ] {
        let folder = folder(names);
        let error = Checkpoint::find(folder.path()).expect_err(found);
        assert_eq!(error, {
            LoadError::refused(Phase::Open, cause, "no weights of the usual name in the folder")
                .expected(usual, found)
                .path(folder.path())
        });
        assert_eq!(error.code(), Code::NotFound);
    }
}

#[test]
fn the_root_of_a_hub_cache_is_told_with_its_first_snapshot() {
    let root = folder(&["blobs/", "refs/", "snapshots/b/", "snapshots/a/", "snapshots/0"]);
    let error = Checkpoint::find(root.path()).expect_err("no weights");
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(error.failure().message, "the folder is the root of a hub cache");
    let snapshot = quote(&root.path().join("snapshots/a").display().to_string());
    let remedy = error.failure().remedy.clone().expect("a remedy");
    assert!(remedy.contains(&snapshot), "{remedy}");
    for names in [&["snapshots/a/"][..], &["blobs/"], &["blobs/", "snapshots/"]] {
        let error = Checkpoint::find(folder(names).path()).expect_err("no weights");
        assert_eq!(error.failure().actual.as_deref(), Some("neither"), "{names:?}");
    }
}

#[test]
fn a_load_names_the_documents_that_it_needs() {
    let beside = folder(&[SINGLE]);
    let model = Checkpoint::find(beside.path()).expect("weights");
    let at = |name: &str| Some(beside.path().join(name));
    let head = Head::pooled(Pooling::Mean);
    let asked = model.tokens(Device::Cuda(1), true, head.clone());
    let inference = Inference {
        config: at("config.json"),
        tokenizer: None,
        template: None,
        generation: None,
        head,
        compute: Compute::Exact,
    };
    let wanted = Load {
        admit: true,
        inference: Some(inference),
        ..Load::plain(beside.path().join(SINGLE), Device::Cuda(1))
    };
    assert_eq!(asked, wanted);

    let documents = |model: &Checkpoint| {
        let asked = model.decoder(Device::Cpu, false);
        assert_eq!((asked.device, asked.admit, &asked.path), (Device::Cpu, false, &model.weights));
        assert_eq!(asked.format, model.format);
        asked.inference.expect("a way to run it")
    };
    let wanted = Inference {
        config: at("config.json"),
        tokenizer: at("tokenizer.json"),
        template: at("tokenizer_config.json"),
        generation: None,
        head: Head::Logits {},
        compute: Compute::Exact,
    };
    assert_eq!(documents(&model), wanted);
    fs::write(beside.path().join("generation_config.json"), "{}").expect("written");
    let generation = at("generation_config.json");
    assert_eq!(documents(&model), Inference { generation, ..wanted });

    let whole = Checkpoint::find(&beside.path().join("m.gguf")).expect("a file");
    let inside = documents(&whole);
    let named = [inside.config, inside.tokenizer, inside.template, inside.generation];
    assert!(named.iter().all(Option::is_none), "the file holds its documents");
}
