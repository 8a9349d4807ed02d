//! Mutants that compare less than a seal holds.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::contract::request::Format;
use crate::loader::LoadDecisions;
use crate::loader::decisions::Part;
use crate::mutants::mutant::{Mutant, reference};

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "seal-of-the-first-file-only",
        lie: "compares the first of several files with its seal, and not the others",
        seen_in: "checks that were written for one file",
        needs_gpu: false,
        make: || reference(Compared::when(|_, file| file <= 1)),
    },
    Mutant {
        name: "seal-header-unchecked",
        lie: "compares the data with its seal, and not the header",
        seen_in: "digests over tensors, without their names and shapes",
        needs_gpu: false,
        make: || reference(Compared::when(|part, _| part != Part::Header)),
    },
    Mutant {
        name: "seal-sampled",
        lie: "compares every fourth chunk with its seal",
        seen_in: "loaders that check samples to save time",
        needs_gpu: false,
        make: || {
            let every_fourth = |part, _| !matches!(part, Part::Chunk(index) if index % 4 != 0);
            reference(Compared::when(every_fourth))
        },
    },
    Mutant {
        name: "seal-first-chunks-only",
        lie: "compares the first 64 chunks of a file with its seal, and not the others",
        seen_in: "fixed tables of digests on a device",
        needs_gpu: false,
        make: || reference(Compared::when(|part, _| !matches!(part, Part::Chunk(64..)))),
    },
];

/// Compares some parts only.
pub(super) struct Compared {
    /// By the part, and by how many files' headers were compared so far.
    compared: fn(Part, usize) -> bool,
    headers: AtomicUsize,
}

impl Compared {
    pub(super) fn when(compared: fn(Part, usize) -> bool) -> Compared {
        Compared { compared, headers: AtomicUsize::new(0) }
    }
}

impl LoadDecisions for Compared {
    fn format(&self, asked: Format, _path: &Path) -> Format {
        self.headers.store(0, Relaxed);
        asked
    }

    fn sealed_matches(&self, part: Part, sealed: &[u8; 32], found: &[u8; 32]) -> bool {
        if part == Part::Header {
            self.headers.fetch_add(1, Relaxed);
        }
        !(self.compared)(part, self.headers.load(Relaxed)) || sealed == found
    }
}
