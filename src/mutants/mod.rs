//! Mutants: loaders that tell one lie each. Most are the reference loader with one decision
//! replaced.
//!
//! They test the judge: a mutant that no case kills is a gap in the suite. Each is modelled on a
//! defect of a real loader. Only `weighbridge mutant NAME` can start one.

mod beside;
mod between;
mod bounds;
mod bytes;
mod cheats;
mod checksum;
mod claims;
mod conduct;
mod decoding;
mod device;
mod files;
mod formats;
mod gates;
mod gguf;
mod header;
mod inference;
mod inference_forms;
mod lapses;
mod mutant;
mod parallel;
mod planning;
mod process;
mod published_files;
mod refusals;
mod spellings;
mod templates;

use std::io::BufRead;

use self::mutant::reference;

pub use self::mutant::Mutant;
pub use self::parallel::HONEST;

/// Mutants of the load path and of encoders.
const FIRST: &[Mutant] = &[
    Mutant {
        name: "zeros-on-device",
        lie: "allocates memory of the right size and copies nothing into it",
        seen_in: "a warm loader that was reported as fixed",
        needs_gpu: false,
        make: || reference(bytes::NeverMoved),
    },
    Mutant {
        name: "fake-pointer",
        lie: "invents device pointers and IPC handles, 4 GiB apart",
        seen_in: "TECH-EMB-002: the replaced code",
        needs_gpu: true,
        make: || between::between(device::FakePointer),
    },
    Mutant {
        name: "fake-checksum",
        lie: "computes the digest from the file's name",
        seen_in: "TECH-EMB-002: the replaced code",
        needs_gpu: false,
        make: || reference(checksum::OfTheName),
    },
    Mutant {
        name: "short-checksum",
        lie: "compares only the first 64 of a digest's 256 bits",
        seen_in: "TECH-EMB-002: the replaced code",
        needs_gpu: false,
        make: || reference(checksum::Short),
    },
    Mutant {
        name: "stub-gpu",
        lie: "reports an invented GPU on a machine without one",
        seen_in: "TECH-EMB-002: the replaced code",
        needs_gpu: false,
        make: || reference(device::Stub),
    },
    Mutant {
        name: "silent-cpu",
        lie: "loads into host memory when a GPU is requested, and reports the GPU",
        seen_in: "several serving programs",
        needs_gpu: false,
        make: || reference(device::SilentCpu),
    },
    Mutant {
        name: "skipped-gate",
        lie: "reports gates as run, but runs none of them",
        seen_in: "P0-QA-001",
        needs_gpu: false,
        make: || reference(gates::Skipped),
    },
    Mutant {
        name: "bf16-as-f16",
        lie: "reads BF16 bits as F16",
        seen_in: "several loaders",
        needs_gpu: false,
        make: || reference(bytes::Bf16AsF16),
    },
    Mutant {
        name: "f16-subnormal",
        lie: "widens F16 subnormals as if they were normal numbers",
        seen_in: "GH-205",
        needs_gpu: false,
        make: || reference(bytes::F16Subnormal),
    },
    Mutant {
        name: "bf16-to-f16",
        lie: "narrows BF16 to F16: large values overflow, small values become zero",
        seen_in: "several loaders",
        needs_gpu: false,
        make: || reference(bytes::Bf16ToF16),
    },
    Mutant {
        name: "widened",
        lie: "stores F16 and BF16 as F32 without being asked: twice the memory",
        seen_in: "GH-205",
        needs_gpu: false,
        make: || reference(bytes::Widened),
    },
    Mutant {
        name: "nan-kept",
        lie: "admits weights that contain NaN or infinities",
        seen_in: "several loaders",
        needs_gpu: false,
        make: || reference(gates::NanKept),
    },
    Mutant {
        name: "truncated-valid",
        lie: "accepts a truncated file and leaves the missing bytes zero",
        seen_in: "P0-QA-001",
        needs_gpu: false,
        make: || reference(header::Truncated),
    },
    Mutant {
        name: "overlap-accepted",
        lie: "accepts overlaps, gaps, trailing bytes and duplicate names",
        seen_in: "fast safetensors readers",
        needs_gpu: false,
        make: || reference(header::Overlapping),
    },
    Mutant {
        name: "unaligned-shift",
        lie: "reads an unaligned tensor from the next aligned address",
        seen_in: "several loaders that map files",
        needs_gpu: false,
        make: || reference(bytes::Shifted::default()),
    },
    Mutant {
        name: "half-zeros",
        lie: "fills F16 and BF16 tensors with zeros",
        seen_in: "PMAT-234: an embedding of 94.5 % zeros",
        needs_gpu: false,
        make: || reference(bytes::HalfZeros),
    },
    Mutant {
        name: "leak",
        lie: "does not free a model's memory on unload",
        seen_in: "several serving programs",
        needs_gpu: false,
        make: || reference(device::Leak),
    },
    Mutant {
        name: "toctou",
        lie: "hashes the file, then opens the path again and loads what it finds there",
        seen_in: "several loaders that check digests",
        needs_gpu: false,
        make: || reference(checksum::Reopened::default()),
    },
    Mutant {
        name: "seal-unchecked",
        lie: "reads a seal, but does not compare its digests of the header and the chunks",
        seen_in: "a signing tool that printed `passed` after a failed check",
        needs_gpu: false,
        make: || reference(checksum::Unchecked),
    },
    Mutant {
        name: "seal-first-chunk-only",
        lie: "compares only the header and the first chunk with the seal",
        seen_in: "loaders that check samples",
        needs_gpu: false,
        make: || reference(checksum::FirstChunk),
    },
    Mutant {
        name: "seal-unpinned",
        lie: "accepts any seal, and does not compare it with the pinned digest",
        seen_in: "loaders that keep the digests beside the weights",
        needs_gpu: false,
        make: || reference(checksum::Unpinned),
    },
    Mutant {
        name: "device-corruption",
        lie: "changes one bit in device memory after verification",
        seen_in: "loaders that check host memory and trust the copy",
        needs_gpu: true,
        make: || reference(device::Corrupted),
    },
    Mutant {
        name: "slow-copy",
        lie: "reports pinned asynchronous copies, but transfers at only 2 GB/s",
        seen_in: "several loaders with pageable copies",
        needs_gpu: true,
        make: || between::between(device::SlowCopy),
    },
    Mutant {
        name: "stream-torn",
        lie: "changes one bit of a stream's output, and reports the digest of the changed bytes",
        seen_in: "buffers that are read before the copy into them has finished",
        needs_gpu: true,
        make: || between::between(device::StreamTorn),
    },
    Mutant {
        name: "sine-output",
        lie: "returns a sine of the element index instead of computing",
        seen_in: "TECH-EMB-002: the replaced code",
        needs_gpu: false,
        make: || reference(inference::Forged(|at| (at as f32 * 0.001).sin())),
    },
    Mutant {
        name: "ramp-output",
        lie: "returns values that grow linearly with the element index",
        seen_in: "forged outputs that pass a check for sine waves",
        needs_gpu: false,
        make: || reference(inference::Forged(|at| at as f32 * 1e-3 - 0.5)),
    },
    Mutant {
        name: "constant-output",
        lie: "returns the same number for every element",
        seen_in: "stubs that fill a vector",
        needs_gpu: false,
        make: || reference(inference::Forged(|_| 0.25)),
    },
    Mutant {
        name: "input-independent",
        lie: "returns its first output of each shape again for every later input",
        seen_in: "caches whose key omits part of the input",
        needs_gpu: false,
        make: || reference(inference::FirstAnswer::default()),
    },
    Mutant {
        name: "replayed-golden",
        lie: "validates by comparing the golden values with themselves",
        seen_in: "tests that write the file they compare with",
        needs_gpu: false,
        make: || reference(inference::Replayed),
    },
    Mutant {
        name: "state-accumulates",
        lie: "adds each output to the previous content of the buffer",
        seen_in: "PARITY-114",
        needs_gpu: false,
        make: || reference(inference::Accumulates::default()),
    },
    Mutant {
        name: "mask-ignored",
        lie: "ignores the attention mask: attends to padding and pools over it",
        seen_in: "several embedding servers",
        needs_gpu: false,
        make: || reference(inference::Misread(inference::mask_ignored)),
    },
    Mutant {
        name: "types-ignored",
        lie: "ignores token types: treats every token as one of the first segment",
        seen_in: "exporters that drop an input",
        needs_gpu: false,
        make: || reference(inference::Misread(inference::types_ignored)),
    },
    Mutant {
        name: "bias-dropped",
        lie: "omits the biases of the query, key and value projections",
        seen_in: "several Qwen2 loaders",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::bias_dropped)),
    },
    Mutant {
        name: "layers-short",
        lie: "skips the last layer",
        seen_in: "loaders that guess the number of layers",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::layers_short)),
    },
    Mutant {
        name: "name-misrouted",
        lie: "swaps the gate and up projections, or key and value where there is no gate",
        seen_in: "errors in rename tables",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::misrouted)),
    },
    Mutant {
        name: "qkv-thirds",
        lie: "splits a fused QKV projection into equal thirds despite grouped-query attention",
        seen_in: "loaders of fused projections",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::thirds)),
    },
    Mutant {
        name: "rope-interleaved",
        lie: "applies interleaved RoPE to weights made for half-split RoPE",
        seen_in: "several loaders",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::interleaved)),
    },
    Mutant {
        name: "rope-theta-default",
        lie: "ignores the configured RoPE base and uses 10000",
        seen_in: "several loaders",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::default_base)),
    },
    Mutant {
        name: "epsilon-default",
        lie: "ignores the configured norm epsilon and uses 1e-12",
        seen_in: "norms with a constant epsilon in the code",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::default_epsilon)),
    },
    Mutant {
        name: "positions-from-zero",
        lie: "starts RoBERTa's position ids at zero",
        seen_in: "ports of BERT to RoBERTa",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::positions_from_zero)),
    },
    Mutant {
        name: "pooling-first",
        lie: "uses the first token where mean pooling is configured",
        seen_in: "embedding servers that support one pooling mode only",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::first_token)),
    },
    Mutant {
        name: "not-normalised",
        lie: "does not divide the embedding by its L2 norm",
        seen_in: "pipelines that lose their last module",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::not_normalised)),
    },
    Mutant {
        name: "head-bias-dropped",
        lie: "omits the bias of the projection after pooling",
        seen_in: "exporters of sentence encoders",
        needs_gpu: false,
        make: || reference(inference::Misbuilt(inference::head_bias_dropped)),
    },
    Mutant {
        name: "missing-filled",
        lie: "replaces a missing tensor with another one that fits",
        seen_in: "frameworks that initialise missing weights",
        needs_gpu: false,
        make: || reference(inference::Found(inference::filled)),
    },
    Mutant {
        name: "shard-hole",
        lie: "loads a model although a shard named by its index is missing",
        seen_in: "loaders that list the files present",
        needs_gpu: false,
        make: || reference(inference::Hole),
    },
];

/// Iterates over every mutant.
pub fn all() -> impl Iterator<Item = &'static Mutant> {
    FIRST
        .iter()
        .chain(process::ALL)
        .chain(decoding::ALL)
        .chain(planning::ALL)
        .chain(published_files::ALL)
        .chain(formats::ALL)
        .chain(lapses::ALL)
        .chain(claims::ALL)
        .chain(parallel::ALL)
        .chain(parallel::LOST)
        .chain(conduct::ALL.iter().chain(beside::ALL))
        .chain(refusals::ALL)
        .chain(cheats::ALL)
        .chain(spellings::ALL)
        .chain(gguf::ALL)
        .chain(templates::ALL)
        .chain(bounds::ALL)
        .chain(files::all())
        .chain(inference_forms::all())
}

/// Wraps `from` as the given mutant's request input. Only `requests-read-leniently` changes it.
pub fn input(mutant: &Mutant, from: impl BufRead + 'static) -> Box<dyn BufRead> {
    refusals::input(mutant, from)
}

/// Finds a mutant by name, or the honest loader with processes.
pub fn by_name(name: &str) -> Option<&'static Mutant> {
    all().chain([&HONEST]).find(|mutant| mutant.name == name)
}

/// Lists the names of all mutants. A case's `kills` may hold only these names.
pub fn names() -> Vec<&'static str> {
    all().map(|mutant| mutant.name).collect()
}

#[cfg(test)]
mod tests;
