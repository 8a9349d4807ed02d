//! Mutants that cheat the judge: cached answers, late loading, computing elsewhere, and honesty
//! only while they seem to be watched.

mod answers;
mod elsewhere;
mod late;
mod watched;

use super::between::{between, between_with};
use super::mutant::{Mutant, reference};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "answers-by-digest",
        lie: "returns answers cached by file digest and input, even when the model differs",
        seen_in: "embedding servers whose cache key is incomplete",
        needs_gpu: false,
        make: || between(answers::Kept::by_digest()),
    },
    Mutant {
        name: "answers-by-everything",
        lie: "returns answers cached by file, configuration and input, even if weights change",
        seen_in: "engines that update weights in place but not their caches",
        needs_gpu: true,
        make: || between(answers::Kept::by_everything()),
    },
    Mutant {
        name: "unloaded-answers",
        lie: "keeps answering for models that it reports as unloaded",
        seen_in: "servers that leave freeing to a garbage collector",
        needs_gpu: false,
        make: || between(answers::Undead::default()),
    },
    Mutant {
        name: "cached-by-path",
        lie: "reuses the old content of a file whose path, size and time are unchanged",
        seen_in: "model caches that compare metadata",
        needs_gpu: false,
        make: || reference(late::CachedByPath::default()),
    },
    Mutant {
        name: "late-loading",
        lie: "answers a load after checking the file, and reads it again at first use",
        seen_in: "lazy loaders that report an open file as loaded",
        needs_gpu: false,
        make: || between(late::Late::by_path()),
    },
    Mutant {
        name: "late-reading",
        lie: "answers a load after checking the file, and reads the open file at first use",
        seen_in: "loaders that map files and copy on first access",
        needs_gpu: false,
        make: || between(late::Late::kept_open()),
    },
    Mutant {
        name: "cpu-behind-gpu",
        lie: "holds the weights on the GPU, but computes on the host",
        seen_in: "runtimes that fall back to the host when a kernel is missing",
        needs_gpu: true,
        make: || between(elsewhere::HostComputes::default()),
    },
    Mutant {
        name: "decoy-export",
        lie: "exports and reads back a second copy of the weights, which it never computes with",
        seen_in: "loaders that repack weights and export the originals",
        needs_gpu: true,
        make: || between(elsewhere::Decoy::default()),
    },
    Mutant {
        name: "good-at-first",
        lie: "is honest for 64 requests, then loads zeros and returns outputs 1 % too large",
        seen_in: "caches that overflow, counters that wrap",
        needs_gpu: false,
        make: || {
            let lies = watched::Lies::default();
            between_with(watched::AtFirst::new(&lies), lies)
        },
    },
    Mutant {
        name: "known-by-name",
        lie: "is honest for the judge's folder and random file names, and loads zeros otherwise",
        seen_in: "programs that recognise their benchmarks by name",
        needs_gpu: false,
        make: || {
            let lies = watched::Lies::default();
            between_with(watched::ByName::new(&lies), lies)
        },
    },
];

#[cfg(test)]
mod tests;
