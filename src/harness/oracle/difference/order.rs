//! Names right elements in a wrong place.

use super::pair::{Pair, element, wide};

/// How many bytes are looked for elsewhere in the tensor.
const WINDOW: usize = 8;
/// In so many places at most: a tensor of zeros has them everywhere.
const PLACES: usize = 64;
/// Tensors with more elements are not sorted.
const SORTED: usize = 1 << 22;

/// The rule that moves every element to where it was found. `first` is the first wrong element.
pub(super) fn name<'a>(
    pair: &Pair<'_>,
    first: usize,
    others: impl IntoIterator<Item = &'a [u8]>,
) -> Option<String> {
    if is_transposed(pair) {
        return Some("transposed".to_owned());
    }
    if let Some(name) = shifted(pair, first * wide(pair.tensor.kept)) {
        return Some(name);
    }
    let is_other = |other: &[u8]| other == pair.found;
    if pair.tensor.kept == pair.tensor.dtype && others.into_iter().any(is_other) {
        return Some("bytes of another tensor".to_owned());
    }
    let elements = pair.elements();
    let one = pair.found(0);
    if elements > 3 && (0..elements).all(|at| pair.found(at) == one) {
        return Some("one value everywhere".to_owned());
    }
    (elements <= SORTED && is_reordered(pair)).then(|| "elements in another order".to_owned())
}

fn is_transposed(pair: &Pair<'_>) -> bool {
    let [rows, columns] = *pair.tensor.shape else { return false };
    let (Ok(rows), Ok(columns)) = (usize::try_from(rows), usize::try_from(columns)) else {
        return false;
    };
    rows > 1
        && columns > 1
        && rows.checked_mul(columns) == Some(pair.elements())
        && (0..rows * columns)
            .all(|at| pair.found(at) == pair.expected(at % rows * columns + at / rows))
}

/// Every byte comes from another place of the tensor, always as far away.
fn shifted(pair: &Pair<'_>, at: usize) -> Option<String> {
    let (expected, found, wide) = (pair.expected, pair.found, wide(pair.tensor.kept));
    // The first wrong bytes may lie where nothing came from elsewhere, so the last ones are tried too.
    for at in [at, found.len().saturating_sub(WINDOW)] {
        let Some(window) = found.get(at..at + WINDOW) else { continue };
        let same = expected.windows(WINDOW).enumerate().filter(|(_, own)| *own == window);
        for from in same.take(PLACES) {
            let (before, after) = (at.saturating_sub(from.0), from.0.saturating_sub(at));
            let moved = before.max(after);
            let fits = match after > 0 {
                true => found[..found.len() - after] == expected[after..],
                false => before > 0 && found[before..] == expected[..expected.len() - before],
            };
            if fits && moved < found.len() / 2 {
                let side = if after > 0 { "too far on" } else { "too early" };
                return Some(match moved % wide {
                    0 if moved == wide => format!("read from the neighbour, one element {side}"),
                    0 => format!("read {} elements {side}", moved / wide),
                    _ => format!("read {moved} bytes {side}"),
                });
            }
        }
    }
    None
}

fn is_reordered(pair: &Pair<'_>) -> bool {
    let wide = wide(pair.tensor.kept);
    let sorted = |bytes: &[u8]| {
        let mut all: Vec<u64> =
            (0..bytes.len() / wide).map(|at| element(bytes, wide, at)).collect();
        all.sort_unstable();
        all
    };
    sorted(pair.expected) == sorted(pair.found)
}
