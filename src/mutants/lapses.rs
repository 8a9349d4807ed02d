//! Lapses of one file, one tensor or one handle: the kind that a test of a whole model overlooks.

mod models;
mod steps;

use super::between::between;
use super::inference;
use super::mutant::{Mutant, reference};

use self::models::{BiasLacking, head_turned, other_biases_dropped};
use self::steps::{
    Bf16AsF32, Bf16Swapped, FirstByName, Headers, IndexUnchecked, LastOfLastShard, NansScrubbed,
    TailDropped, WrongOneFreed, dims_joined, empty_dropped, first_type, metadata_dropped,
    metadata_made_up, names_cleaned, scalars_as_vectors, sides_swapped,
};

/// These mutants.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "last-of-last-shard",
        lie: "leaves the last tensor of a model's last file zero",
        seen_in: "vmlx-swift pull request 217: what lies past a short shard's end reads as zeros",
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
        lie: "reads BF16 with its bytes exchanged",
        seen_in: "readers of pairs of bytes, written on another machine",
        needs_gpu: false,
        make: || reference(Bf16Swapped),
    },
    Mutant {
        name: "bf16-as-f32",
        lie: "takes two BF16 elements for one of F32",
        seen_in: "readers with one case for floating point",
        needs_gpu: false,
        make: || reference(Bf16AsF32),
    },
    Mutant {
        name: "dtype-of-the-first",
        lie: "takes every tensor for the type of the first one of its width",
        seen_in: "mesh-llm pull request 1619: mixed F16 and BF16 collapse to what comes first",
        needs_gpu: false,
        make: || reference(Headers(first_type)),
    },
    Mutant {
        name: "empty-dropped",
        lie: "leaves tensors without elements out",
        seen_in: "safetensors pull requests 205 and 221",
        needs_gpu: false,
        make: || reference(Headers(empty_dropped)),
    },
    Mutant {
        name: "scalar-as-vector",
        lie: "gives a scalar the shape [1]",
        seen_in: "vLLM pull request 1696: scalars that a slice cannot return",
        needs_gpu: false,
        make: || reference(Headers(scalars_as_vectors)),
    },
    Mutant {
        name: "metadata-dropped",
        lie: "says that a file has no metadata",
        seen_in: "readers that skip what they do not need",
        needs_gpu: false,
        make: || reference(Headers(metadata_dropped)),
    },
    Mutant {
        name: "metadata-made-up",
        lie: "says what metadata a file should have where it has none",
        seen_in: "readers that fill in what most files say",
        needs_gpu: false,
        make: || reference(Headers(metadata_made_up)),
    },
    Mutant {
        name: "names-cleaned",
        lie: "keeps of a tensor's name what could be in a variable's, in lower case",
        seen_in: "frameworks that turn names into attributes",
        needs_gpu: false,
        make: || reference(Headers(names_cleaned)),
    },
    Mutant {
        name: "dims-joined",
        lie: "drops sides of one, and takes what has more than two for a matrix",
        seen_in: "readers made for layers of two sides",
        needs_gpu: false,
        make: || reference(Headers(dims_joined)),
    },
    Mutant {
        name: "sides-swapped",
        lie: "tells the sides of every matrix innermost first",
        seen_in: "wrappers of libraries that keep matrices by columns",
        needs_gpu: false,
        make: || reference(Headers(sides_swapped)),
    },
    Mutant {
        name: "tail-dropped",
        lie: "copies whole vectors of sixteen bytes and leaves the rest of a tensor zero",
        seen_in: "kernels that copy four floats at a time",
        needs_gpu: false,
        make: || reference(TailDropped),
    },
    Mutant {
        name: "nan-scrubbed",
        lie: "puts zeros in the place of NaN and infinities",
        seen_in: "programs that clean what they were to carry",
        needs_gpu: false,
        make: || reference(NansScrubbed),
    },
    Mutant {
        name: "first-by-name",
        lie: "keeps a tensor's first bytes for every later one of its name and shape",
        seen_in: "trl issue 5312: weights that an engine does not take over when it wakes",
        needs_gpu: false,
        make: || reference(FirstByName::default()),
    },
    Mutant {
        name: "bias-lacking-dropped",
        lie: "leaves all biases of query, key and value out where one is missing",
        seen_in: "loaders of Qwen2 that ask for the first bias and take the answer for all",
        needs_gpu: false,
        make: || reference(BiasLacking),
    },
    Mutant {
        name: "other-biases-dropped",
        lie: "leaves out the biases of what joins the heads and of the feed-forward part",
        seen_in: "loaders made for models that have none",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(other_biases_dropped)),
    },
    Mutant {
        name: "head-transposed",
        lie: "reads the head to the vocabulary with its sides exchanged",
        seen_in: "PMAT-216: arguments of the head's product in the wrong order",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(head_turned)),
    },
    Mutant {
        name: "wrong-one-freed",
        lie: "frees the model that has been there longest, whichever was named",
        seen_in: "caches of models that evict by age",
        needs_gpu: false,
        make: || between(WrongOneFreed::default()),
    },
];
