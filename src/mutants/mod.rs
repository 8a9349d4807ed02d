//! Loaders that tell one lie each.

use crate::contract::Loader;

/// A loader that tells one lie.
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// The lie, in one sentence.
    pub lie: &'static str,
    /// Where it was seen.
    pub seen_in: &'static str,
    /// Whether its lie is about GPU memory.
    pub needs_gpu: bool,
    /// Makes one.
    pub make: fn() -> Box<dyn Loader + Send>,
}

/// All.
pub const ALL: &[Mutant] = &[];

/// Finds one.
pub fn by_name(name: &str) -> Option<&'static Mutant> {
    ALL.iter().find(|mutant| mutant.name == name)
}

/// Their names.
pub fn names() -> Vec<&'static str> {
    ["zeros-on-device", "fake-pointer", "fake-checksum", "short-checksum", "stub-gpu", "silent-cpu", "skipped-gate", "bf16-as-f16", "f16-subnormal", "bf16-to-f16", "widened", "nan-kept", "truncated-valid", "overlap-accepted", "unaligned-shift", "half-zeros", "leak", "toctou", "hang", "crash", "flood", "garbage"].to_vec()
}
