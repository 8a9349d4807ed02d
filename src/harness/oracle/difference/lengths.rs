//! Names a tensor with another number of bytes than it must have.

use super::pair::Pair;
use crate::harness::oracle::widen::widened;

/// The rule that gives the length and the bytes found.
pub(super) fn name(pair: &Pair<'_>) -> Option<String> {
    let (tensor, expected, found) = (pair.tensor, pair.expected, pair.found);
    let dtype = tensor.dtype;
    if found.is_empty() {
        Some("no bytes found".to_owned())
    } else if tensor.kept != dtype && found == tensor.stored {
        Some(format!("{dtype} not widened to {}", tensor.kept))
    } else if tensor.kept == dtype
        && widened(dtype, tensor.stored).is_some_and(|wide| wide == found)
    {
        Some(format!("{dtype} widened to F32 without being asked"))
    } else if expected.starts_with(found) {
        Some("truncated".to_owned())
    } else if found.starts_with(expected) {
        Some("bytes appended".to_owned())
    } else {
        None
    }
}
