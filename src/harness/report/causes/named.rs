//! Chooses one name for wrong values that several rules explain: the one that explains most of the report.

use std::collections::{BTreeMap, BTreeSet};

use super::shape::shape;
use crate::harness::record::{CaseRecord, Check, Values};

/// For each case, by id, which of its check's names is told.
pub type Chosen<'r> = BTreeMap<&'r str, usize>;

/// Chooses for these cases, each with the first check that did not hold. The name that explains most of the
/// cases that are left is taken again and again; of equal ones, the one that is most telling in more cases.
pub fn choose<'r>(failed: impl Iterator<Item = (&'r CaseRecord, &'r Check)>) -> Chosen<'r> {
    let mut left: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (case, check) in failed {
        let named = check.values.iter().flat_map(Values::named);
        let shapes: Vec<String> = named.map(|name| shape(&name)).collect();
        if !shapes.is_empty() {
            left.insert(&case.id, shapes);
        }
    }
    let mut chosen = Chosen::new();
    while let Some(best) = most_frequent(left.values()) {
        left.retain(|id, shapes| match shapes.iter().position(|shape| *shape == best) {
            Some(at) => {
                chosen.insert(*id, at);
                false
            }
            None => true,
        });
    }
    chosen
}

fn most_frequent<'s>(all: impl Iterator<Item = &'s Vec<String>>) -> Option<String> {
    let mut counts: BTreeMap<&String, (usize, usize)> = BTreeMap::new();
    for shapes in all {
        for shape in shapes.iter().collect::<BTreeSet<_>>() {
            let count = counts.entry(shape).or_default();
            count.0 += 1;
            count.1 += usize::from(shapes.first() == Some(shape));
        }
    }
    // The first of equals, by name.
    let best = counts.into_iter().rev().max_by_key(|(_, count)| *count)?;
    Some(best.0.clone())
}
