//! Mutants with a process for each rank, and lies about a rank whose process is lost.

use super::apart::{Apart, Lie};
use crate::mutants::between::between;
use crate::mutants::mutant::Mutant;

/// The same loader without a lie. An audit needs it for the cases in which the reference, whose ranks are one process,
/// has nothing to lose.
pub const HONEST: Mutant = Mutant {
    name: "honest-with-rank-processes",
    lie: "tells no lie, and has a process for each rank of a divided load",
    seen_in: "nowhere: it shows that the cases about lost ranks can be passed",
    needs_gpu: false,
    make: || between(Apart::new(Lie::Nothing)),
};

/// The mutants of this module.
pub(in crate::mutants) const LOST: &[Mutant] = &[
    Mutant {
        name: "lost-rank-of-neighbour",
        lie: "answers for a rank whose process has ended with the bytes of its neighbour",
        seen_in: "programs in which any rank answers for all",
        needs_gpu: false,
        make: || between(Apart::new(Lie::OfNeighbour)),
    },
    Mutant {
        name: "lost-rank-as-zeros",
        lie: "answers for a rank whose process has ended with zeros",
        seen_in: "programs that gather into a buffer of zeros and do not look who has answered",
        needs_gpu: false,
        make: || between(Apart::new(Lie::Zeros)),
    },
    Mutant {
        name: "lost-rank-waited-for",
        lie: "waits without end for a rank whose process has ended",
        seen_in: "sglang#5457",
        needs_gpu: false,
        make: || between(Apart::new(Lie::Waited)),
    },
    Mutant {
        name: "lost-rank-ends-loader",
        lie: "ends itself when the process of a rank has ended",
        seen_in: "launchers that end the whole job with one of its processes",
        needs_gpu: false,
        make: || between(Apart::new(Lie::EndsLoader)),
    },
    Mutant {
        name: "lost-rank-for-good",
        lie: "divides no model any more once the process of a rank has ended",
        seen_in: "programs that make their group of ranks once",
        needs_gpu: false,
        make: || between(Apart::new(Lie::ForGood)),
    },
    Mutant {
        name: "lost-ranks-left-running",
        lie: "leaves the processes of the other ranks running when that of one has ended",
        seen_in: "programs that forget a group of ranks when it fails",
        needs_gpu: false,
        make: || between(Apart::new(Lie::LeftRunning)),
    },
    Mutant {
        name: "lost-rank-told-as-loaded",
        lie: "reports a load as done in which the process of a rank has ended",
        seen_in: "sglang#5457",
        needs_gpu: false,
        make: || between(Apart::new(Lie::ToldAsLoaded)),
    },
    Mutant {
        name: "lost-model-kept",
        lie: "refuses to unload a model for ever once the process of one of its ranks has ended",
        seen_in: "programs that ask every rank to unload and stop at the first that does not answer",
        needs_gpu: false,
        make: || between(Apart::new(Lie::Kept)),
    },
    Mutant {
        name: "lost-rank-blamed-on-request",
        lie: "calls a request invalid once the process of the rank that it is about has ended",
        seen_in: "programs that look a rank up among those that live",
        needs_gpu: false,
        make: || between(Apart::new(Lie::Blamed)),
    },
    Mutant {
        name: "slow-rank-not-waited-for",
        lie: "takes the bytes of its neighbour for those of a rank that does not answer within half a second",
        seen_in: "programs that go on with what has arrived by their deadline",
        needs_gpu: false,
        make: || between(Apart::new(Lie::NotWaited)),
    },
];
