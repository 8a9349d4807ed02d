//! The bytes of a share in its file. Rows of a matrix lie one behind the other, so a slice of rows is one
//! piece; a slice of columns is one piece of every row, at the distance of a row.

use serde::{Deserialize, Serialize};

use super::interval::{self, Interval};
use super::share::Share;

/// Pieces of a file that repeat at a fixed distance: all pieces, then all pieces one distance further on,
/// and so on. The bytes come in the order in which the rank holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spans {
    /// The pieces of the first time, in bytes from the beginning of the file.
    pub pieces: Vec<Interval>,
    /// The distance, in bytes.
    pub stride: u64,
    /// How many times.
    pub count: u64,
}

/// Most pieces that a document may claim of one tensor.
const MOST: u64 = 1 << 24;

impl Spans {
    /// Number of bytes; `None` beyond 64 bits.
    pub fn bytes(&self) -> Option<u64> {
        interval::count(&self.pieces).checked_mul(self.count)
    }

    /// Every piece, in order.
    pub fn iter(&self) -> impl Iterator<Item = Interval> {
        (0..self.count).flat_map(move |time| {
            let by = time * self.stride;
            self.pieces.iter().map(move |one| Interval::new(one.begin + by, one.end + by))
        })
    }

    /// Whether every piece lies in a file of so many bytes, and there are not too many of them to look at.
    fn is_in(&self, file: u64) -> bool {
        let last = self.count.saturating_sub(1).checked_mul(self.stride);
        let fits = |one: &Interval| {
            let end = last.and_then(|last| one.end.checked_add(last));
            one.begin <= one.end && end.is_some_and(|end| end <= file)
        };
        let pieces = (self.pieces.len() as u64).checked_mul(self.count);
        pieces.is_some_and(|pieces| pieces <= MOST) && self.pieces.iter().all(fits)
    }
}

/// The pieces of a share of a tensor of this shape, whose elements have `width` bytes and which begins at
/// this byte of its file.
pub fn of(share: &Share, shape: &[u64], width: u64, begin: u64) -> Vec<Spans> {
    if share.elements() == 0 {
        return Vec::new();
    }
    let held = share.dimensions();
    // Everything inside of the innermost dimension that is cut is one piece.
    let cut = (0..shape.len()).rev().find(|at| held[*at] != [Interval::new(0, shape[*at])]);
    let Some(cut) = cut else {
        let bytes = shape.iter().product::<u64>() * width;
        return vec![once(vec![Interval::new(begin, begin + bytes)])];
    };
    let block = shape[cut + 1..].iter().product::<u64>() * width;
    let row = shape[cut] * block;
    let at = |first: u64| {
        let scaled =
            |one: &Interval| Interval::new(first + one.begin * block, first + one.end * block);
        held[cut].iter().map(scaled).collect::<Vec<_>>()
    };
    if cut == 0 {
        return vec![once(at(begin))];
    }
    // Rows of the dimension outside of it: each interval is one repetition. What is further outside is
    // counted out.
    let mut firsts = vec![0];
    for dimension in 0..cut - 1 {
        let indices = |one: &Interval| one.begin..one.end;
        let deeper = |first: &u64| {
            let first = *first * shape[dimension];
            held[dimension]
                .iter()
                .flat_map(indices)
                .map(move |index| first + index)
                .collect::<Vec<_>>()
        };
        firsts = firsts.iter().flat_map(deeper).collect();
    }
    let runs = |first: &u64| {
        let first = *first * shape[cut - 1];
        let run = move |one: &Interval| Spans {
            pieces: at(begin + (first + one.begin) * row),
            stride: row,
            count: one.len(),
        };
        held[cut - 1].iter().map(run).collect::<Vec<_>>()
    };
    firsts.iter().flat_map(runs).collect()
}

fn once(pieces: Vec<Interval>) -> Spans {
    Spans { pieces, stride: 0, count: 1 }
}

/// Number of bytes of all.
pub fn bytes(all: &[Spans]) -> u64 {
    all.iter().fold(0, |sum: u64, one| sum.saturating_add(one.bytes().unwrap_or(u64::MAX)))
}

/// Where a claim's pieces differ from the true ones: what was expected there, and what was found.
pub fn difference(expected: &[Spans], found: &[Spans], file: u64) -> Option<(String, String)> {
    if let Some(wrong) = found.iter().find(|one| !one.is_in(file)) {
        let told = format!("{} pieces, {} times", wrong.pieces.len(), wrong.count);
        return Some((format!("at most {MOST} pieces inside of a file of {file} bytes"), told));
    }
    let (mut left, mut right) = (Joined::of(expected), Joined::of(found));
    loop {
        let (wanted, told) = (left.next(), right.next());
        if wanted != told {
            let shown = |one: Option<Interval>| match one {
                Some(one) => format!("bytes {one}"),
                None => "no more bytes".to_owned(),
            };
            return Some((shown(wanted), shown(told)));
        }
        wanted?;
    }
}

/// Pieces in their order, neighbours joined.
struct Joined<'s> {
    pieces: Box<dyn Iterator<Item = Interval> + 's>,
    ahead: Option<Interval>,
}

impl<'s> Joined<'s> {
    fn of(all: &'s [Spans]) -> Self {
        let pieces = all.iter().flat_map(Spans::iter).filter(|one| !one.is_empty());
        Joined { pieces: Box::new(pieces), ahead: None }
    }
}

impl Iterator for Joined<'_> {
    type Item = Interval;

    fn next(&mut self) -> Option<Interval> {
        let mut one = self.ahead.take().or_else(|| self.pieces.next())?;
        for next in self.pieces.by_ref() {
            if next.begin != one.end {
                self.ahead = Some(next);
                break;
            }
            one.end = next.end;
        }
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(dimensions: &[&[[u64; 2]]]) -> Share {
        let one = |held: &&[[u64; 2]]| held.iter().copied().map(Interval::from).collect();
        dimensions.iter().map(one).collect::<Vec<Vec<Interval>>>().into()
    }

    /// The bytes of a share element by element, which is slow and plain.
    fn slow(share: &Share, shape: &[u64], width: u64, begin: u64) -> Vec<u64> {
        let mut all = vec![0];
        for (held, side) in share.dimensions().iter().zip(shape) {
            let indices: Vec<u64> = held.iter().flat_map(|one| one.begin..one.end).collect();
            let deeper = |first: &u64| {
                let first = first * side;
                indices.iter().map(move |index| first + index).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(deeper).collect();
        }
        all.iter().flat_map(|one| (0..width).map(move |byte| begin + one * width + byte)).collect()
    }

    #[test]
    fn pieces_are_the_bytes_of_every_element_in_order() {
        for (held, shape, runs) in [
            (share(&[&[[1, 3]], &[[0, 4]]]), vec![5, 4], 1),
            (share(&[&[[0, 5]], &[[1, 2]]]), vec![5, 4], 1),
            (share(&[&[[0, 5]], &[[1, 2], [3, 4]]]), vec![5, 4], 1),
            (share(&[&[[0, 1], [3, 5]], &[[3, 4], [0, 1]]]), vec![5, 4], 2),
            (share(&[&[[1, 3]], &[[0, 2]], &[[1, 2]]]), vec![3, 2, 4], 2),
            (share(&[&[[0, 3]], &[[1, 2]], &[[0, 4]]]), vec![3, 2, 4], 1),
            (share(&[&[[0, 6]]]), vec![6], 1),
            (share(&[]), vec![], 1),
            (share(&[&[], &[[0, 4]]]), vec![5, 4], 0),
        ] {
            let spans = of(&held, &shape, 2, 100);
            let bytes: Vec<u64> =
                spans.iter().flat_map(Spans::iter).flat_map(|one| one.begin..one.end).collect();
            assert_eq!(bytes, slow(&held, &shape, 2, 100), "{held} of {shape:?}");
            assert_eq!(spans.len(), runs, "{held} of {shape:?}");
            assert_eq!(super::bytes(&spans), held.elements() * 2);
        }
    }

    #[test]
    fn a_difference_is_found_however_the_pieces_are_cut() {
        let columns = of(&share(&[&[[0, 3]], &[[1, 3]]]), &[3, 4], 2, 0);
        let by_hand: Vec<Spans> = [[2, 6], [10, 12], [12, 14], [18, 22]]
            .map(|pair| once(vec![Interval::from(pair)]))
            .into();
        assert_eq!(difference(&columns, &by_hand, 24), None);
        let (expected, found) = difference(&columns, &by_hand[..3], 24).unwrap();
        assert_eq!((expected.as_str(), found.as_str()), ("bytes 18:22", "no more bytes"));
        let rows = of(&share(&[&[[0, 2]], &[[0, 4]]]), &[3, 4], 2, 0);
        assert_eq!(difference(&columns, &rows, 24).unwrap().1, "bytes 0:16");
        for (pieces, stride, count) in [
            (vec![Interval::new(0, 25)], 0, 1),
            (vec![Interval::new(0, 1)], u64::MAX, 3),
            (vec![Interval::new(0, 1)], 0, u64::MAX),
            (vec![Interval::new(3, 1)], 0, 1),
        ] {
            let endless = [Spans { pieces, stride, count }];
            assert!(difference(&columns, &endless, 24).is_some(), "{endless:?}");
        }
    }
}
