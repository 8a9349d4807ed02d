//! What a rank holds of a tensor: for each dimension the intervals of indices, in the order in which the
//! rank holds them. The elements are the product of all dimensions.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::interval::{self, Interval};

/// A rank's part of one tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Vec<Interval>>")]
pub struct Share(Vec<Vec<Interval>>);

impl Share {
    /// The whole of a tensor of this shape.
    pub fn whole(shape: &[u64]) -> Self {
        shape.iter().map(|side| vec![Interval::new(0, *side)]).collect::<Vec<_>>().into()
    }

    /// The whole of a tensor, but for one dimension of which it has these intervals.
    pub fn cut(shape: &[u64], dimension: usize, held: Vec<Interval>) -> Self {
        let mut share = Share::whole(shape);
        share.0[dimension] = interval::joined(&held);
        share
    }

    /// The intervals of each dimension.
    pub fn dimensions(&self) -> &[Vec<Interval>] {
        &self.0
    }

    /// Number of indices of each dimension; one that is held twice counts twice.
    pub fn shape(&self) -> Vec<u64> {
        self.0.iter().map(|held| interval::count(held)).collect()
    }

    /// Number of elements, counted likewise.
    pub fn elements(&self) -> u64 {
        self.shape().into_iter().fold(1, u64::saturating_mul)
    }

    /// Whether both have the same elements in the same order. Shares without any element are the same.
    pub fn same(&self, other: &Share) -> bool {
        self == other || self.elements() == 0 && other.elements() == 0
    }

    /// Why it cannot be a share of a tensor of this shape.
    pub fn misfit(&self, shape: &[u64]) -> Option<String> {
        if self.0.len() != shape.len() {
            return Some(format!("{} dimensions", self.0.len()));
        }
        let mut dimensions = self.0.iter().zip(shape).enumerate();
        dimensions.find_map(|(at, (held, side))| {
            let wrong = held.iter().find(|one| one.begin > one.end || one.end > *side)?;
            Some(format!("{wrong} of dimension {at}, which has {side}"))
        })
    }

    /// Whether two shares have an element in common.
    pub fn meets(&self, other: &Share) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| interval::meet(a, b))
    }

    /// Whether it has an element twice.
    pub fn repeats(&self) -> bool {
        let twice =
            |held: &Vec<Interval>| interval::count(&interval::set(held)) < interval::count(held);
        self.elements() > 0 && self.0.iter().any(twice)
    }

    /// Its part inside of an interval of one dimension.
    pub fn within(&self, dimension: usize, bound: Interval) -> Share {
        let mut part = self.clone();
        part.0[dimension] = interval::within(&part.0[dimension], bound);
        part
    }
}

impl From<Vec<Vec<Interval>>> for Share {
    fn from(dimensions: Vec<Vec<Interval>>) -> Self {
        Share(dimensions.iter().map(|held| interval::joined(held)).collect())
    }
}

impl fmt::Display for Share {
    /// As slices are written in Python: `[0:4+16:20, 0:64]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |held: &Vec<Interval>| match held.as_slice() {
            [] => "nothing".to_owned(),
            held => held.iter().map(Interval::to_string).collect::<Vec<_>>().join("+"),
        };
        write!(f, "[{}]", self.0.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(dimensions: &[&[[u64; 2]]]) -> Share {
        let one = |held: &&[[u64; 2]]| held.iter().copied().map(Interval::from).collect();
        dimensions.iter().map(one).collect::<Vec<Vec<Interval>>>().into()
    }

    #[test]
    fn shares_are_products_of_their_dimensions() {
        let rows = share(&[&[[0, 2], [4, 5]], &[[0, 8]]]);
        assert_eq!((rows.elements(), rows.to_string().as_str()), (24, "[0:2+4:5, 0:8]"));
        assert!(rows.meets(&share(&[&[[1, 2]], &[[7, 8]]])));
        assert!(!rows.meets(&share(&[&[[2, 4]], &[[0, 8]]])));
        assert!(!rows.meets(&share(&[&[[0, 2]], &[[8, 8]]])));
        assert!(!rows.repeats() && share(&[&[[0, 2], [1, 3]]]).repeats());
        assert!(share(&[&[[3, 3]], &[[0, 8]]]).same(&share(&[&[], &[]])));
        assert!(!rows.same(&share(&[&[[4, 5], [0, 2]], &[[0, 8]]])), "the order is another one");
    }

    #[test]
    fn what_is_no_share_of_a_shape_is_said() {
        assert_eq!(share(&[&[[0, 9]], &[[0, 8]]]).misfit(&[9, 8]), None);
        let wrong = share(&[&[[0, 10]], &[[0, 8]]]).misfit(&[9, 8]);
        assert_eq!(wrong.as_deref(), Some("0:10 of dimension 0, which has 9"));
        assert_eq!(share(&[&[[0, 9]]]).misfit(&[9, 8]).as_deref(), Some("1 dimensions"));
    }
}
