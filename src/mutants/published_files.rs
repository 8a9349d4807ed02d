//! Mutants of published files: old names, heads, buffers, indexes, adapters, and gates that know too
//! little or too much of what is normal.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::Value;

use super::between::{Answer, Between, between};
use super::mutant::{Mutant, reference};
use crate::contract::Loader;
use crate::contract::inference::{Batch, State};
use crate::contract::reply::Gate;
use crate::contract::request::Request;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::buffers;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::gates::{self, Kind, Scan};
use crate::loader::infer::{RunnableModel, Search};
use crate::loader::read::file::OpenFile;
use crate::loader::remedies::header::DTYPE_NOT_HELD;
use crate::loader::remedies::index_and_seal::INDEX_FORM;
use crate::loader::{LoadDecisions, ReferenceLoader};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "index-metadata-trusted",
        lie: "refuses sound shards if the index's total_size is not their size",
        seen_in: "axolotl issue 3758 and mlx-examples issue 413",
        needs_gpu: false,
        make: || between(MetadataTrusted),
    },
    Mutant {
        name: "buffers-refused",
        lie: "refuses a model that carries a buffer of an older export",
        seen_in: "task_vectors issue 2",
        needs_gpu: false,
        make: || reference(BuffersRefused),
    },
    Mutant {
        name: "old-norm-names-missed",
        lie: "does not know gamma and beta, and gives such norms the first weights that fit",
        seen_in: "candle issue 1887",
        needs_gpu: false,
        make: || reference(Found(old_names_missed)),
    },
    Mutant {
        name: "head-kept-lost",
        lie: "leaves the embedding of a tied model that stores only its head as memory holds it",
        seen_in: "loaders that tie the head to the embedding, and never the other way",
        needs_gpu: false,
        make: || reference(Found(head_lost)),
    },
    Mutant {
        name: "adapter-merged-silently",
        lie: "adds an adapter that lies beside the model to its output",
        seen_in: "transformers, which applies the adapter of a folder",
        needs_gpu: false,
        make: || reference(AdapterMerged::default()),
    },
    Mutant {
        name: "prefix-guessed-wrong",
        lie: "takes the tensor with the longest prefix where two claim one name",
        seen_in: "scripts that strip prefixes into one dictionary",
        needs_gpu: false,
        make: || reference(Found(longest_prefix)),
    },
    Mutant {
        name: "embeddings-exempt",
        lie: "admits every embedding of zeros, because one kind of them may be",
        seen_in: "an exemption by a part of a name",
        needs_gpu: false,
        make: || reference(EmbeddingsExempt),
    },
    Mutant {
        name: "zero-types-refused",
        lie: "refuses the zeros that RoBERTa's converter writes as token types",
        seen_in: "this loader's gates before they knew roles",
        needs_gpu: false,
        make: || reference(ZeroTypesRefused),
    },
];

/// Compares `metadata.total_size` of an index with the size of its shards' data.
struct MetadataTrusted;

impl Between for MetadataTrusted {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        if let Request::Load(load) = &request
            && load.path.extension().is_some_and(|ending| ending == "json")
            && let Some(found) = disagreement(&load.path)
        {
            let error = LoadError::header(INDEX_FORM, "total_size is not the size of the tensors");
            return Err(error.expected("the sum of the tensors' bytes", found).into());
        }
        loader.answer(request)
    }
}

/// The total size of an index, if it is there and is not that of the shards' data.
fn disagreement(index: &Path) -> Option<Value> {
    let text: Value = serde_json::from_slice(&std::fs::read(index).ok()?).ok()?;
    let told = text.get("metadata")?.get("total_size")?.clone();
    let shards = text["weight_map"].as_object()?.values().filter_map(Value::as_str);
    let shards: std::collections::BTreeSet<&str> = shards.collect();
    let data = |name: &&str| -> Option<u64> {
        let bytes = std::fs::read(index.with_file_name(name)).ok()?;
        let header = u64::from_le_bytes(*bytes.first_chunk()?);
        Some((bytes.len() as u64).saturating_sub(header + 8))
    };
    let sum: u64 = shards.iter().filter_map(data).sum();
    (told.as_u64() != Some(sum)).then_some(told)
}

struct BuffersRefused;

impl LoadDecisions for BuffersRefused {
    fn left_out(&self, tensor: &TensorInfo, runs: bool) -> Result<bool> {
        match runs && buffers::is_buffer(tensor) {
            true => Err(LoadError::header(DTYPE_NOT_HELD, "a tensor that no layer has")
                .tensor(&tensor.name)
                .expected("weights alone", tensor.dtype)),
            false => Ok(false),
        }
    }
}

/// Searches the model's parts in another way.
struct Found(fn(&Search) -> Result<RunnableModel>);

impl LoadDecisions for Found {
    fn model(&self, search: &Search) -> Result<RunnableModel> {
        self.0(search)
    }
}

fn old_names_missed(search: &Search) -> Result<RunnableModel> {
    let is_old = |name: &str| name.ends_with(".gamma") || name.ends_with(".beta");
    let with_others = |tensor: &PlacedTensor| {
        let fits = |other: &&PlacedTensor| {
            let same = other.info.shape == tensor.info.shape && other.dtype == tensor.dtype;
            same && !is_old(&other.info.name)
        };
        let stand_in = search.tensors.iter().find(fits).filter(|_| is_old(&tensor.info.name));
        let offset = stand_in.map_or(tensor.offset, |other| other.offset);
        PlacedTensor { offset, ..tensor.clone() }
    };
    let tensors: Vec<PlacedTensor> = search.tensors.iter().map(with_others).collect();
    Search { tensors: &tensors, ..*search }.find()
}

/// Bytes between the head and the memory that is taken for the embedding.
const BESIDE: u64 = 64;

fn head_lost(search: &Search) -> Result<RunnableModel> {
    let words = ["embed_tokens.weight", "wte.weight", "word_embeddings.weight"];
    let has_words = search
        .tensors
        .iter()
        .any(|tensor| words.iter().any(|ending| tensor.info.name.ends_with(ending)));
    let mut tensors = search.tensors.to_vec();
    let end = tensors.iter().map(|tensor| tensor.offset + tensor.bytes).max().unwrap_or(0);
    let heads = ["lm_head.weight", "predictions.decoder.weight"];
    let head = tensors
        .iter_mut()
        .find(|tensor| heads.iter().any(|ending| tensor.info.name.ends_with(ending)));
    if let Some(head) = head.filter(|_| !has_words) {
        match head.offset + head.bytes + BESIDE <= end {
            true => head.offset += BESIDE,
            false => head.offset = head.offset.saturating_sub(BESIDE),
        }
    }
    Search { tensors: &tensors, ..*search }.find()
}

fn longest_prefix(search: &Search) -> Result<RunnableModel> {
    let longer = |tensor: &PlacedTensor| {
        let name = &tensor.info.name;
        search.tensors.iter().any(|other| {
            let other = &other.info.name;
            other.len() > name.len() && other.ends_with(&format!(".{name}"))
        })
    };
    let prefixed: Vec<PlacedTensor> =
        search.tensors.iter().filter(|tensor| !longer(tensor)).cloned().collect();
    // Takes the place of the shorter name, so that all names have one prefix.
    let renamed = prefixed.iter().map(|tensor| {
        let mut tensor = tensor.clone();
        let short = search
            .tensors
            .iter()
            .map(|other| &other.info.name)
            .find(|short| tensor.info.name.ends_with(&format!(".{short}")));
        if let Some(short) = short {
            tensor.info.name.clone_from(short);
        }
        tensor
    });
    let renamed: Vec<PlacedTensor> = renamed.collect();
    Search { tensors: &renamed, ..*search }.find()
}

/// Returns outputs 1 % too large if an adapter lies beside the weights that were opened last.
#[derive(Default)]
struct AdapterMerged(AtomicBool);

impl LoadDecisions for AdapterMerged {
    fn source(&self, opened: OpenFile) -> Result<OpenFile> {
        let adapter = opened.path().with_file_name("adapter_model.safetensors");
        self.0.store(adapter.exists(), Relaxed);
        Ok(opened)
    }

    fn output(&self, _handle: u64, _batch: &Batch, mut given: State) -> State {
        if self.0.load(Relaxed) {
            given.values.iter_mut().for_each(|value| *value *= 1.01);
        }
        given
    }
}

struct EmbeddingsExempt;

impl LoadDecisions for EmbeddingsExempt {
    fn judge(&self, gate: Gate, tensor: &TensorInfo, scan: &Scan) -> Result<()> {
        let zeros = Kind::of(tensor) == Kind::Embedding && scan.zeros() == scan.elements();
        if zeros { Ok(()) } else { gates::judge(gate, tensor, scan) }
    }
}

struct ZeroTypesRefused;

impl LoadDecisions for ZeroTypesRefused {
    fn judge(&self, gate: Gate, tensor: &TensorInfo, scan: &Scan) -> Result<()> {
        // The same table under a name without a role.
        let name = tensor.name.replace("token_type_embeddings", "other_embeddings");
        let same = gates::judge(gate, &TensorInfo { name, ..tensor.clone() }, scan);
        same.map_err(|error| error.tensor(&tensor.name))
    }
}
