//! The bytes that a claim says it reads for a share.

use crate::harness::plan::document::Held;
use crate::harness::plan::layout::{Entry, Plan};
use crate::harness::plan::spans;

/// Where they are other bytes than those of the share: what was expected, and what was found.
pub(super) fn check(plan: &Plan, entry: &Entry, held: &Held) -> Option<(String, String)> {
    let file = &plan.files[entry.declared.file];
    if let Some(other) = held.file.as_ref().filter(|other| **other != file.name) {
        return Some((file.name.clone(), other.clone()));
    }
    let expected = entry.spans(&held.ranges)?;
    spans::difference(&expected, held.spans.as_ref()?, file.bytes?)
}
