//! Names what is wrong with a tensor's bytes: a rule that explains every wrong element, such as `BF16 read
//! as F16`.
//!
//! The rules are in `lengths.rs` (another number of bytes), `elements.rs` (one element at a time) and
//! `order.rs` (elements in another place).

mod elements;
mod lengths;
mod order;
mod pair;

use std::borrow::Cow;

pub use self::pair::Tensor;
use self::pair::{LOOKED_AT, Pair, wide};
use super::widen::widened;
use crate::contract::DType;

/// What is wrong with a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The rules that explain every wrong element, the most telling first.
    pub names: Vec<String>,
    /// Index of the first wrong element that is an ordinary number; of the first wrong one, if none is.
    pub at: usize,
    /// Its bits in the file, or the length of the tensor there, where the lengths differ.
    pub stored: String,
    /// The bits that it must have in memory, where they are others.
    pub expected: Option<String>,
    /// The bits found, or the length found.
    pub found: String,
    /// How many elements are wrong; 0 where the lengths differ.
    pub wrong: usize,
    /// How many elements the tensor has.
    pub of: usize,
}

/// What is wrong with the bytes that a loader holds; `None` if nothing is. `others` are the bytes of the
/// file's other tensors.
pub fn difference<'a>(
    tensor: &Tensor<'_>,
    found: &[u8],
    others: impl IntoIterator<Item = &'a [u8]>,
) -> Option<Difference> {
    let expected = match tensor.kept == tensor.dtype {
        true => Cow::Borrowed(tensor.stored),
        false => Cow::Owned(widened(tensor.dtype, tensor.stored)?),
    };
    let pair = Pair { tensor, expected: &expected, found };
    if expected.len() != found.len() {
        return Some(Difference {
            names: lengths::name(&pair).into_iter().collect(),
            at: 0,
            stored: format!("{} bytes", tensor.stored.len()),
            expected: (tensor.kept != tensor.dtype).then(|| format!("{} bytes", expected.len())),
            found: format!("{} bytes", found.len()),
            wrong: 0,
            of: pair.elements(),
        });
    }
    let mut wrong = (0..pair.elements()).filter(|at| !pair.is_right(*at));
    let looked: Vec<usize> = wrong.by_ref().take(LOOKED_AT).collect();
    let first = *looked.first()?;
    let mut names = elements::names(&pair, &looked);
    if names.is_empty() {
        names.extend(order::name(&pair, first, others));
    }
    let ordinary = |at: &&usize| elements::is_ordinary(tensor.dtype, pair.stored(**at));
    let at = looked.iter().find(ordinary).copied().unwrap_or(first);
    let bits = |value: u64, of: DType| format!("{value:#0width$x}", width = 2 * wide(of) + 2);
    Some(Difference {
        names,
        at,
        stored: bits(pair.stored(at), tensor.dtype),
        expected: (tensor.kept != tensor.dtype).then(|| bits(pair.expected(at), tensor.kept)),
        found: bits(pair.found(at), tensor.kept),
        wrong: looked.len() + wrong.count(),
        of: pair.elements(),
    })
}

#[cfg(test)]
mod tests;
