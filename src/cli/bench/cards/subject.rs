//! What is loaded over several devices, in which ways, and what the machine can do at best.

use serde::Serialize;

use crate::cli::bench::figures::Reached;
use crate::cli::bench::ours::Pin;
use crate::cli::bench::place::Place;
use crate::cli::bench::synthetic::Shape;
use crate::cli::bench::truth::Truth;

/// What the machine reaches with so many devices.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    /// Number of devices.
    pub devices: usize,
    /// GB/s from the page cache with all threads.
    pub page_cache: f64,
    /// GB/s of copies from pinned memory to all devices at once; absent on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<f64>,
    /// Reading and copying at once: every combination that was tried. Empty on the host.
    pub together: Vec<Reached>,
}

impl Limit {
    /// The smaller of the two, and its name.
    pub fn bound(&self) -> (f64, &'static str) {
        match self.copies {
            Some(copies) if copies < self.page_cache => (copies, "copies"),
            _ => (self.page_cache, "page cache"),
        }
    }
}

/// How a model is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Over tensor-parallel ranks.
    Divided,
    /// A whole copy on each device.
    Replicated,
}

/// A model on a file system, and what is known of it.
pub struct Subject<'a> {
    /// Where it is.
    pub place: &'a Place,
    /// Its digests.
    pub pin: &'a Pin,
    /// Its contents.
    pub truth: &'a Truth,
    /// What it is.
    pub shape: Shape,
}
