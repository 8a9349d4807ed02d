//! Names the files of a model's folder that hold weights and do not count.
//!
//! One set of weights counts, and nothing is merged into it. In a folder that is `model.safetensors`,
//! or without it the shards of `model.safetensors.index.json`, as in transformers. Named here is
//! everything else that a reader could take for this model's weights: other safetensors, GGUF and
//! APR files, indexes, adapters, and PyTorch's weights. Not looked at are the state of a training
//! run (`optimizer.pt`, `training_args.bin`), hidden files, and folders.

use std::collections::BTreeSet;
use std::path::Path;

use super::checkpoint::{Checkpoint, INDEX, SINGLE};
use super::files::Files;
use super::shard_index::numbering;

/// A file that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why it does not count.
    pub why: &'static str,
}

/// Files of an adapter that lies beside its base model or a merged one.
const ADAPTER: [&str; 3] =
    ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"];

/// Names the files of the checkpoint's folder that do not count, in the order of their names. Names
/// none where the folder cannot be listed, or for a file of a format that holds everything.
pub fn left_out(checkpoint: &Checkpoint, files: &Files) -> Vec<LeftOut> {
    if !checkpoint.format.is_usual() {
        return Vec::new();
    }
    let name_of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut counts: BTreeSet<String> =
        files.all().iter().filter_map(|file| name_of(file.source.path())).collect();
    counts.extend(name_of(&checkpoint.weights));
    let here = if checkpoint.folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        checkpoint.folder.as_path()
    };
    let entries = std::fs::read_dir(here).into_iter().flatten();
    let names = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        (!entry.path().is_dir() && !name.starts_with('.') && !counts.contains(&name))
            .then_some(name)
    });
    let names: BTreeSet<String> = names.collect();
    let whole = counts.contains(SINGLE);
    let told = names.into_iter().filter_map(|name| Some(LeftOut { why: why(&name, whole)?, name }));
    told.collect()
}

/// What a user of a model must know of files beside it before its first answer: that an adapter is not
/// merged, and that one file counts in place of an index. One line each.
pub fn warnings(checkpoint: &Checkpoint) -> Vec<String> {
    if !checkpoint.format.is_usual() {
        return Vec::new();
    }
    let whole = checkpoint.weights.file_name().is_some_and(|name| name == SINGLE);
    let may_count = [ADAPTER[1], ADAPTER[2], INDEX].into_iter();
    let there = may_count.filter(|name| checkpoint.folder.join(name).exists());
    let told = there.filter(|name| whole || *name != INDEX);
    told.filter_map(|name| Some(format!("note: {name} is left out: {}", why(name, whole)?)))
        .collect()
}

/// Why a file does not count; `None` if it is no file of weights. `whole` says whether
/// `model.safetensors` counts.
fn why(name: &str, whole: bool) -> Option<&'static str> {
    let ends = |ending: &str| name.ends_with(ending);
    let starts = |start: &str| name.starts_with(start);
    if ADAPTER.contains(&name) {
        return Some("an adapter is not merged: merge it, and load the result");
    }
    if whole && (name == INDEX || numbering(name).is_some_and(|(stem, _)| stem == "model")) {
        return Some("model.safetensors counts, and not the shards of an index beside it");
    }
    if name == SINGLE {
        return Some("the index was named, and its shards count");
    }
    if ends(".safetensors") || ends(".safetensors.index.json") {
        return Some("other weights, which were not named");
    }
    if ends(".gguf") || ends(".apr") {
        return Some("another format, which must be named itself");
    }
    let pytorch = ends(".bin") || ends(".bin.index.json") || ends(".pth") || ends(".pt");
    let weights = starts("pytorch_model") || starts("consolidated") || starts("adapter_model");
    (pytorch && weights).then_some("PyTorch's format, which is not read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_told_from_everything_else() {
        for name in [
            "adapter_config.json",
            "adapter_model.safetensors",
            "consolidated.safetensors",
            "model.fp16.safetensors",
            "model-00001-of-00002.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin",
            "pytorch_model-00001-of-00002.bin",
            "consolidated.00.pth",
            "model.gguf",
        ] {
            assert!(why(name, true).is_some(), "{name}");
        }
        for name in ["optimizer.pt", "training_args.bin", "config.json", "rng_state.pth", "x.txt"] {
            assert_eq!(why(name, true), None, "{name}");
        }
        assert!(why(SINGLE, false).is_some_and(|why| why.contains("index")));
    }

    #[test]
    fn files_beside_the_weights_that_do_not_count_are_told() {
        use crate::contract::request::{DtypePolicy, Format};
        use crate::loader::decisions::Honest;
        use crate::loader::infer::tests::projection;
        let folder = tempfile::TempDir::new().expect("a folder");
        projection().save(folder.path());
        for name in ["x.gguf", "adapter_config.json", INDEX, ".hidden.safetensors", "readme.md"] {
            std::fs::write(folder.path().join(name), "{}").expect("written");
        }
        std::fs::create_dir(folder.path().join("old.safetensors")).expect("made");
        let checkpoint = Checkpoint::find(folder.path()).expect("weights");
        let weights = &checkpoint.weights;
        let files = Files::open(weights, Format::Safetensors, &Honest, DtypePolicy::Stored, true);
        let told = left_out(&checkpoint, &files.expect("opens"));
        let names: Vec<&str> = told.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["adapter_config.json", INDEX, "x.gguf"]);
        assert_eq!(told[2].why, "another format, which must be named itself");
        let shards = "model.safetensors counts, and not the shards of an index beside it";
        assert_eq!(told[1].why, shards);
        let notes = warnings(&checkpoint);
        assert!(notes.contains(&format!("note: {INDEX} is left out: {shards}")), "{notes:?}");
        // Where the index was named, it counts, and nothing is to be said of it.
        let index = Checkpoint::find(&folder.path().join(INDEX)).expect("an index");
        assert!(warnings(&index).iter().all(|note| !note.contains(INDEX)));
        let whole = Checkpoint::find(&folder.path().join("x.gguf")).expect("a file");
        assert_eq!(warnings(&whole), Vec::<String>::new(), "it holds everything");
    }
}
