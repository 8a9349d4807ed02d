//! Mutants with an error in one file, one tensor or one handle. Tests of a whole model miss these.

mod models;
mod steps;

use super::between::between;
use super::bytes;
use super::inference;
use super::mutant::{Mutant, reference};

use self::models::{bias_lacking, head_turned, other_biases_dropped};
use self::steps::{
    Bf16AsF32, Bf16Swapped, FirstByName, Headers, IndexUnchecked, LastOfLastShard, NansScrubbed,
    TailDropped, WrongOneFreed, dims_joined, empty_dropped, first_type, metadata_dropped,
    metadata_made_up, names_cleaned, scalars_as_vectors, sides_swapped,
};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "transposed",
        lie: "reads square matrices transposed",
        seen_in: "exporters that mix row-major and column-major order",
        needs_gpu: false,
        make: || reference(bytes::Transposed),
    },
    Mutant {
        name: "last-of-last-shard",
        lie: "leaves the last tensor of a model's last shard zero",
        seen_in: "vmlx-swift pull request 217: bytes past a short shard's end read as zeros",
        needs_gpu: false,
        make: || reference(LastOfLastShard::default()),
    },
    Mutant {
        name: "index-unchecked",
        lie: "takes tensors from whichever shard has them, whatever the index says",
        seen_in: "vLLM pull request 54230: stale tensors of reused shards win",
        needs_gpu: false,
        make: || reference(IndexUnchecked),
    },
    Mutant {
        name: "bf16-swapped",
        lie: "reads BF16 with its two bytes swapped",
        seen_in: "readers written on a machine with the other byte order",
        needs_gpu: false,
        make: || reference(Bf16Swapped),
    },
    Mutant {
        name: "bf16-as-f32",
        lie: "reads two BF16 elements as one F32 element",
        seen_in: "readers with one case for all floating-point types",
        needs_gpu: false,
        make: || reference(Bf16AsF32),
    },
    Mutant {
        name: "dtype-of-the-first",
        lie: "gives each tensor the dtype of the first tensor with the same element width",
        seen_in: "mesh-llm pull request 1619: mixed F16 and BF16 all get the first dtype",
        needs_gpu: false,
        make: || reference(Headers(first_type)),
    },
    Mutant {
        name: "empty-dropped",
        lie: "drops tensors without elements",
        seen_in: "safetensors pull requests 205 and 221",
        needs_gpu: false,
        make: || reference(Headers(empty_dropped)),
    },
    Mutant {
        name: "scalar-as-vector",
        lie: "reports the shape [1] for a scalar",
        seen_in: "vLLM pull request 1696: a slice cannot return a scalar",
        needs_gpu: false,
        make: || reference(Headers(scalars_as_vectors)),
    },
    Mutant {
        name: "metadata-dropped",
        lie: "reports that a file has no metadata",
        seen_in: "readers that skip what they do not need",
        needs_gpu: false,
        make: || reference(Headers(metadata_dropped)),
    },
    Mutant {
        name: "metadata-made-up",
        lie: "reports the usual metadata for a file that has none",
        seen_in: "readers that fill in common values",
        needs_gpu: false,
        make: || reference(Headers(metadata_made_up)),
    },
    Mutant {
        name: "names-cleaned",
        lie: "lowercases tensor names and removes unusual characters",
        seen_in: "frameworks that turn tensor names into attributes",
        needs_gpu: false,
        make: || reference(Headers(names_cleaned)),
    },
    Mutant {
        name: "dims-joined",
        lie: "drops dimensions of size 1, and merges more than two dimensions into a matrix",
        seen_in: "readers written for matrices only",
        needs_gpu: false,
        make: || reference(Headers(dims_joined)),
    },
    Mutant {
        name: "sides-swapped",
        lie: "reports the dimensions of every matrix innermost first",
        seen_in: "wrappers of libraries that store matrices column-major",
        needs_gpu: false,
        make: || reference(Headers(sides_swapped)),
    },
    Mutant {
        name: "tail-dropped",
        lie: "copies whole 16-byte vectors and leaves the rest of a tensor zero",
        seen_in: "kernels that copy four floats at a time",
        needs_gpu: false,
        make: || reference(TailDropped),
    },
    Mutant {
        name: "nan-scrubbed",
        lie: "replaces NaN and infinities with zeros",
        seen_in: "programs that clean the data they should only copy",
        needs_gpu: false,
        make: || reference(NansScrubbed),
    },
    Mutant {
        name: "first-by-name",
        lie: "reuses a tensor's first bytes for later tensors with the same name and shape",
        seen_in: "trl issue 5312: an engine that keeps its old weights when it wakes",
        needs_gpu: false,
        make: || reference(FirstByName::default()),
    },
    Mutant {
        name: "bias-lacking-dropped",
        lie: "drops all query, key and value biases if any bias is missing",
        seen_in: "Qwen2 loaders that check one bias and assume the same for all",
        needs_gpu: false,
        make: || reference(inference::Found(bias_lacking)),
    },
    Mutant {
        name: "other-biases-dropped",
        lie: "omits the biases of the attention output and of the feed-forward layers",
        seen_in: "loaders written for models without these biases",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(other_biases_dropped)),
    },
    Mutant {
        name: "head-transposed",
        lie: "reads the vocabulary head with rows and columns swapped",
        seen_in: "PMAT-216: wrong argument order in the head's matrix product",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(head_turned)),
    },
    Mutant {
        name: "wrong-one-freed",
        lie: "unloads the oldest model, whichever one is named",
        seen_in: "model caches that evict by age",
        needs_gpu: false,
        make: || between(WrongOneFreed::default()),
    },
];
