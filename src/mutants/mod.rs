//! Loaders that tell one lie each: the reference loader with one decision replaced.
//!
//! They prove the judge: a lie that no case refutes is a hole in the suite. Each is taken from the
//! way a real loader went wrong. None can be reached but by `weighbridge mutant NAME`.

mod between;
mod bytes;
mod cheats;
mod checksum;
mod decoding;
mod device;
mod formats;
mod gates;
mod header;
mod inference;
mod lapses;
mod planning;
mod process;
mod refusals;

use std::io::BufRead;

use crate::contract::Loader;
use crate::loader::{LoadDecisions, ReferenceLoader};

/// A loader that tells one lie.
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// The lie, in one sentence.
    pub lie: &'static str,
    /// Where it was seen.
    pub seen_in: &'static str,
    /// Whether its lie is about GPU memory, so that it tells none on the host.
    pub needs_gpu: bool,
    /// Makes one.
    pub make: fn() -> Box<dyn Loader + Send>,
}

/// Those of loading, and of encoders.
const FIRST: &[Mutant] = &[
    Mutant {
        name: "zeros-on-device",
        lie: "reserves memory of the right size and never moves a byte there",
        seen_in: "a warm loader that was said to be fixed",
        needs_gpu: false,
        make: || reference(bytes::NeverMoved),
    },
    Mutant {
        name: "fake-pointer",
        lie: "makes device pointers and IPC handles up, 4 GiB apart",
        seen_in: "TECH-EMB-002, the code it replaces",
        needs_gpu: true,
        make: || between::between(device::FakePointer),
    },
    Mutant {
        name: "fake-checksum",
        lie: "derives the digest from the file's name",
        seen_in: "TECH-EMB-002, the code it replaces",
        needs_gpu: false,
        make: || reference(checksum::OfTheName),
    },
    Mutant {
        name: "short-checksum",
        lie: "compares 64 of a digest's 256 bits",
        seen_in: "TECH-EMB-002, the code it replaces",
        needs_gpu: false,
        make: || reference(checksum::Short),
    },
    Mutant {
        name: "stub-gpu",
        lie: "invents a GPU where there is none",
        seen_in: "TECH-EMB-002, the code it replaces",
        needs_gpu: false,
        make: || reference(device::Stub),
    },
    Mutant {
        name: "silent-cpu",
        lie: "loads into host memory when asked for the GPU, and says GPU",
        seen_in: "several serving programs",
        needs_gpu: false,
        make: || reference(device::SilentCpu),
    },
    Mutant {
        name: "skipped-gate",
        lie: "reports gates as run that it never ran",
        seen_in: "P0-QA-001",
        needs_gpu: false,
        make: || reference(gates::Skipped),
    },
    Mutant {
        name: "bf16-as-f16",
        lie: "reads BF16 as if it were F16",
        seen_in: "several loaders",
        needs_gpu: false,
        make: || reference(bytes::Bf16AsF16),
    },
    Mutant {
        name: "f16-subnormal",
        lie: "widens subnormal F16 with the exponent of normal numbers",
        seen_in: "GH-205",
        needs_gpu: false,
        make: || reference(bytes::F16Subnormal),
    },
    Mutant {
        name: "bf16-to-f16",
        lie: "narrows BF16 to F16: large values overflow, small ones vanish",
        seen_in: "several loaders",
        needs_gpu: false,
        make: || reference(bytes::Bf16ToF16),
    },
    Mutant {
        name: "widened",
        lie: "stores F16 as F32 in twice the memory",
        seen_in: "GH-205",
        needs_gpu: false,
        make: || reference(bytes::Widened),
    },
    Mutant {
        name: "nan-kept",
        lie: "admits weights with NaN and infinities",
        seen_in: "several loaders",
        needs_gpu: false,
        make: || reference(gates::NanKept),
    },
    Mutant {
        name: "truncated-valid",
        lie: "accepts a truncated file and leaves the missing end zero",
        seen_in: "P0-QA-001",
        needs_gpu: false,
        make: || reference(header::Truncated),
    },
    Mutant {
        name: "overlap-accepted",
        lie: "accepts overlaps, gaps, trailing bytes and duplicate names",
        seen_in: "the fast safetensors readers",
        needs_gpu: false,
        make: || reference(header::Overlapping),
    },
    Mutant {
        name: "unaligned-shift",
        lie: "reads data at an odd address from the next aligned one",
        seen_in: "several loaders that map files",
        needs_gpu: false,
        make: || reference(bytes::Shifted::default()),
    },
    Mutant {
        name: "half-zeros",
        lie: "brings half-precision tensors out as zeros",
        seen_in: "PMAT-234: an embedding of 94.5 % zeros",
        needs_gpu: false,
        make: || reference(bytes::HalfZeros),
    },
    Mutant {
        name: "leak",
        lie: "forgets a model's memory on unload instead of freeing it",
        seen_in: "several serving programs",
        needs_gpu: false,
        make: || reference(device::Leak),
    },
    Mutant {
        name: "toctou",
        lie: "hashes the file, then opens its path again to load",
        seen_in: "several loaders that check digests",
        needs_gpu: false,
        make: || reference(checksum::Reopened::default()),
    },
    Mutant {
        name: "seal-unchecked",
        lie: "reads a seal and compares its digests with nothing",
        seen_in: "a signing tool that printed passed after a failed check",
        needs_gpu: false,
        make: || reference(checksum::Unchecked),
    },
    Mutant {
        name: "seal-first-chunk-only",
        lie: "compares the header and the first chunk with the seal, and no other",
        seen_in: "loaders that sample",
        needs_gpu: false,
        make: || reference(checksum::FirstChunk),
    },
    Mutant {
        name: "seal-unpinned",
        lie: "takes any seal, whatever digest was pinned",
        seen_in: "loaders that keep the digests beside the weights",
        needs_gpu: false,
        make: || reference(checksum::Unpinned),
    },
    Mutant {
        name: "device-corruption",
        lie: "changes one bit in device memory after everything was verified",
        seen_in: "loaders that check host memory and trust the copy",
        needs_gpu: true,
        make: || reference(device::Corrupted),
    },
    Mutant {
        name: "slow-copy",
        lie: "says pinned and asynchronous, and copies at the rate of neither",
        seen_in: "several loaders with pageable copies",
        needs_gpu: true,
        make: || between::between(device::SlowCopy),
    },
    Mutant {
        name: "stream-torn",
        lie: "changes one bit of what a stream brings back, and tells the digest of that",
        seen_in: "buffers that are read before the copy into them has ended",
        needs_gpu: true,
        make: || between::between(device::StreamTorn),
    },
    Mutant {
        name: "sine-output",
        lie: "answers a sine wave of the place in the vector",
        seen_in: "TECH-EMB-002, the code it replaces",
        needs_gpu: false,
        make: || reference(inference::Forged(|at| (at as f32 * 0.001).sin())),
    },
    Mutant {
        name: "ramp-output",
        lie: "answers a ramp",
        seen_in: "forgeries that a detector of sines passes",
        needs_gpu: false,
        make: || reference(inference::Forged(|at| at as f32 * 1e-3 - 0.5)),
    },
    Mutant {
        name: "constant-output",
        lie: "answers one number everywhere",
        seen_in: "stubs that fill a vector",
        needs_gpu: false,
        make: || reference(inference::Forged(|_| 0.25)),
    },
    Mutant {
        name: "input-independent",
        lie: "answers its first embedding of each shape for ever",
        seen_in: "caches keyed by too little",
        needs_gpu: false,
        make: || reference(inference::FirstAnswer::default()),
    },
    Mutant {
        name: "replayed-golden",
        lie: "validates by comparing the golden with itself",
        seen_in: "tests that write the file they read",
        needs_gpu: false,
        make: || reference(inference::Replayed),
    },
    Mutant {
        name: "state-accumulates",
        lie: "adds each output to what the buffer held",
        seen_in: "PARITY-114",
        needs_gpu: false,
        make: || reference(inference::Accumulates::default()),
    },
    Mutant {
        name: "mask-ignored",
        lie: "lets every token see padding, and pools over it",
        seen_in: "several embedding servers",
        needs_gpu: false,
        make: || reference(inference::Misread(inference::mask_ignored)),
    },
    Mutant {
        name: "types-ignored",
        lie: "takes every token for one of the first segment",
        seen_in: "exporters that drop an input",
        needs_gpu: false,
        make: || reference(inference::Misread(inference::types_ignored)),
    },
    Mutant {
        name: "bias-dropped",
        lie: "leaves out the biases of query, key and value",
        seen_in: "several loaders of Qwen2",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::bias_dropped)),
    },
    Mutant {
        name: "layers-short",
        lie: "skips the last layer",
        seen_in: "loaders that count layers by guess",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::layers_short)),
    },
    Mutant {
        name: "name-misrouted",
        lie: "exchanges gate and up, or key and value",
        seen_in: "rename tables",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::misrouted)),
    },
    Mutant {
        name: "qkv-thirds",
        lie: "cuts query, key and value in equal thirds under grouped queries",
        seen_in: "loaders of fused projections",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::thirds)),
    },
    Mutant {
        name: "rope-interleaved",
        lie: "turns neighbours on weights laid out for halves",
        seen_in: "several loaders",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::interleaved)),
    },
    Mutant {
        name: "rope-theta-default",
        lie: "drops the configured rotary base and uses 10000",
        seen_in: "several loaders",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::default_base)),
    },
    Mutant {
        name: "epsilon-default",
        lie: "drops the configured epsilon",
        seen_in: "norms with a constant in the code",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::default_epsilon)),
    },
    Mutant {
        name: "positions-from-zero",
        lie: "counts RoBERTa's positions from zero",
        seen_in: "ports of BERT to RoBERTa",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::positions_from_zero)),
    },
    Mutant {
        name: "pooling-first",
        lie: "takes the first token in place of the mean",
        seen_in: "embedding servers with one pooling for all",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::first_token)),
    },
    Mutant {
        name: "not-normalised",
        lie: "does not divide by the norm",
        seen_in: "pipelines that lose their last module",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::not_normalised)),
    },
    Mutant {
        name: "head-bias-dropped",
        lie: "leaves out the bias of the layer behind the pooling",
        seen_in: "exporters of sentence encoders",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::head_bias_dropped)),
    },
    Mutant {
        name: "missing-filled",
        lie: "takes some other tensor where one is missing",
        seen_in: "frameworks that initialise what they do not find",
        needs_gpu: false,
        make: || reference(inference::Filled),
    },
    Mutant {
        name: "shard-hole",
        lie: "loads without a shard that its index names",
        seen_in: "loaders that go over the files they find",
        needs_gpu: false,
        make: || reference(inference::Hole),
    },
    Mutant {
        name: "transposed",
        lie: "reads square matrices transposed",
        seen_in: "exporters between row and column order",
        needs_gpu: false,
        make: || reference(bytes::Transposed),
    },
];

/// Every mutant.
pub fn all() -> impl Iterator<Item = &'static Mutant> {
    let first = FIRST.iter().chain(process::ALL).chain(decoding::ALL).chain(planning::ALL);
    first.chain(formats::ALL).chain(lapses::ALL).chain(refusals::ALL).chain(cheats::ALL)
}

/// What a mutant reads its requests from, given where they come from.
pub fn input(mutant: &Mutant, from: impl BufRead + 'static) -> Box<dyn BufRead> {
    refusals::input(mutant, from)
}

/// Finds a mutant by name.
pub fn by_name(name: &str) -> Option<&'static Mutant> {
    all().find(|mutant| mutant.name == name)
}

/// The names of all mutants: the closed list that a case's `kills` may name.
pub fn names() -> Vec<&'static str> {
    all().map(|mutant| mutant.name).collect()
}

fn reference(decisions: impl LoadDecisions + 'static) -> Box<dyn Loader + Send> {
    Box::new(ReferenceLoader::with_decisions(Box::new(decisions)))
}

#[cfg(test)]
mod tests;
