//! Mutants that lie about one capability each: what they declare is served, but not truly.

mod answers;
mod models;
mod steps;

use super::between::between;
use super::inference;
use super::mutant::{Mutant, reference};

pub(super) use self::answers::Turned;

use self::answers::{AnySynchronized, Changed, StatMadeUp, UnsupportedLies, tails_zeroed, traces};
use self::models::{
    gpt2_without_positions, head_size_ignored, mistral_without_window, nomic_gate_swapped,
};
use self::steps::{
    F16Rounded, FirstShardOnly, HostAsGpu, I64Narrowed, MetadataEmpty, ProjectionShort,
    SubnormalsFlushed, WidenTruncates,
};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "sharded-first-only",
        lie: "loads the first shard of an index and leaves out the others",
        seen_in: "loaders that take the first path of a list",
        needs_gpu: false,
        make: || reference(FirstShardOnly::default()),
    },
    Mutant {
        name: "widen-truncates",
        lie: "widens F16 by way of BF16, which drops three bits of each value",
        seen_in: "kernels with one half-precision path",
        needs_gpu: false,
        make: || reference(WidenTruncates),
    },
    Mutant {
        name: "metadata-empty",
        lie: "reports the keys of the metadata without their values",
        seen_in: "readers that keep metadata for display only",
        needs_gpu: false,
        make: || reference(MetadataEmpty),
    },
    Mutant {
        name: "stat-made-up",
        lie: "reports 64 MiB as held for each model, whatever its size",
        seen_in: "servers that count models and estimate their memory",
        needs_gpu: false,
        make: || between(StatMadeUp),
    },
    Mutant {
        name: "unsupported-lies",
        lie: "declares BF16, and calls every file with it unsupported",
        seen_in: "adapters that report any difficulty as a lack",
        needs_gpu: false,
        make: || between(UnsupportedLies),
    },
    Mutant {
        name: "host-as-gpu",
        lie: "loads into host memory as requested, and reports the GPU",
        seen_in: "programs that report their default device",
        needs_gpu: false,
        make: || reference(HostAsGpu),
    },
    Mutant {
        name: "subnormals-flushed",
        lie: "flushes subnormal F32 values to zero",
        seen_in: "copies by arithmetic with fast-math flags",
        needs_gpu: false,
        make: || reference(SubnormalsFlushed),
    },
    Mutant {
        name: "f16-rounded",
        lie: "rounds F16 values to the precision of BF16",
        seen_in: "loaders that compute in BF16 only",
        needs_gpu: false,
        make: || reference(F16Rounded),
    },
    Mutant {
        name: "i64-narrowed",
        lie: "keeps only the lower 32 bits of I64 values",
        seen_in: "programs that hold indices as int",
        needs_gpu: false,
        make: || reference(I64Narrowed),
    },
    Mutant {
        name: "read-back-short",
        lie: "writes zeros for the last bytes of each tensor that it reads back",
        seen_in: "loops that end one step early",
        needs_gpu: false,
        make: || between(Changed(tails_zeroed)),
    },
    Mutant {
        name: "read-back-turned",
        lie: "writes matrices that it reads back with their sides exchanged, and the bytes as they were",
        seen_in: "programs that keep the bytes of a tensor and compute its shape again",
        needs_gpu: false,
        make: || between(Turned { divided: false }),
    },
    Mutant {
        name: "trace-of-zeros",
        lie: "writes zeros for every state between input and output",
        seen_in: "hooks that run before the states are computed",
        needs_gpu: false,
        make: || between(Changed(traces)),
    },
    Mutant {
        name: "text-cut-short",
        lie: "encodes only the first word of each text",
        seen_in: "tokenizers that are called with one word",
        needs_gpu: false,
        make: || between(answers::FirstWord),
    },
    Mutant {
        name: "synchronized-anyway",
        lie: "reports every synchronisation as done, also of a device that does not exist",
        seen_in: "stubs that return success",
        needs_gpu: true,
        make: || between(AnySynchronized),
    },
    Mutant {
        name: "product-short",
        lie: "leaves the last element of a product zero",
        seen_in: "kernels whose grid is rounded down",
        needs_gpu: true,
        make: || between(Changed(answers::products)),
    },
    Mutant {
        name: "nomic-gate-swapped",
        lie: "swaps the gate and up projections of Nomic's BERT",
        seen_in: "ports of Llama's feed-forward block",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(nomic_gate_swapped)),
    },
    Mutant {
        name: "mistral-window-ignored",
        lie: "ignores Mistral's sliding window",
        seen_in: "loaders that run Mistral as Llama",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(mistral_without_window)),
    },
    Mutant {
        name: "gpt2-positions-dropped",
        lie: "omits GPT-2's learned positions",
        seen_in: "decoders written for rotary positions only",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(gpt2_without_positions)),
    },
    Mutant {
        name: "head-size-ignored",
        lie: "takes hidden size / heads for the head size where positions are turned",
        seen_in: "rotary tables that are built before head_dim is read",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(head_size_ignored)),
    },
    Mutant {
        name: "projection-short",
        lie: "leaves the last value of each projected vector zero",
        seen_in: "kernels that compute four outputs at a time",
        needs_gpu: false,
        make: || reference(ProjectionShort),
    },
];
