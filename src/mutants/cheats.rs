//! Lies to the judge itself: what it will ask is prepared, kept, or answered from elsewhere than where it looks.

mod answers;
mod elsewhere;
mod late;
mod watched;

use super::between::{between, between_with};
use super::mutant::{Mutant, reference};

/// These mutants.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "answers-by-digest",
        lie: "keeps answers by the file's digest and the input, whatever it holds now",
        seen_in: "embedding servers with a cache keyed by too little",
        needs_gpu: false,
        make: || between(answers::Kept::by_digest()),
    },
    Mutant {
        name: "answers-by-everything",
        lie: "keeps answers by file, configuration and input, and does not look at its weights again",
        seen_in: "engines whose weights are updated in place, and whose caches are not",
        needs_gpu: true,
        make: || between(answers::Kept::by_everything()),
    },
    Mutant {
        name: "unloaded-answers",
        lie: "goes on answering for models that it says it has unloaded",
        seen_in: "servers whose models are freed by a collector, some day",
        needs_gpu: false,
        make: || between(answers::Undead::default()),
    },
    Mutant {
        name: "cached-by-path",
        lie: "takes a file of the same path, size and time for the one that it has read",
        seen_in: "model caches that compare metadata",
        needs_gpu: false,
        make: || reference(late::CachedByPath::default()),
    },
    Mutant {
        name: "late-loading",
        lie: "answers a load when it has checked the file, and reads it again at first use",
        seen_in: "lazy loaders, to whom an open file is a loaded one",
        needs_gpu: false,
        make: || between(late::Late::by_path()),
    },
    Mutant {
        name: "late-reading",
        lie: "the same, and keeps the file open until then",
        seen_in: "loaders that map files and copy on first touch",
        needs_gpu: false,
        make: || between(late::Late::kept_open()),
    },
    Mutant {
        name: "cpu-behind-gpu",
        lie: "holds the weights on the GPU and computes on the host",
        seen_in: "runtimes that fall back where a kernel is missing",
        needs_gpu: true,
        make: || between(elsewhere::HostComputes::default()),
    },
    Mutant {
        name: "decoy-export",
        lie: "exports and reads back a second copy of the weights that nothing is computed from",
        seen_in: "loaders that repack weights and keep the originals to show",
        needs_gpu: true,
        make: || between(elsewhere::Decoy::default()),
    },
    Mutant {
        name: "good-at-first",
        lie: "behaves for 64 requests, then holds zeros and answers what is not quite right",
        seen_in: "caches that overflow, counters that wrap",
        needs_gpu: false,
        make: || {
            let lies = watched::Lies::default();
            between_with(watched::AtFirst::new(&lies), lies)
        },
    },
    Mutant {
        name: "known-by-name",
        lie: "behaves for files in the judge's folder or of random names, and holds zeros for others",
        seen_in: "programs that know the names of their benchmarks",
        needs_gpu: false,
        make: || {
            let lies = watched::Lies::default();
            between_with(watched::ByName::new(&lies), lies)
        },
    },
];
