//! The tensors of all files by their names, and by the names of the architecture that they claim.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::module_path;
use crate::loader::format::tensor::PlacedTensor;

/// The tensors of all files. Each has a place in the order of their names.
pub(super) struct Known<'t> {
    tensors: Vec<&'t PlacedTensor>,
    /// By the name of the architecture. Names are long and begin alike, so comparing them in a tree takes longer.
    claims: HashMap<Cow<'t, str>, Claims<'t>>,
}

/// The tensors that claim one name of the architecture, by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claims<'t> {
    /// The modules in front of the first one's name.
    pub(super) front: &'t str,
    /// The first one.
    pub(super) first: usize,
    /// Another one, which makes the name ambiguous.
    pub(super) second: Option<usize>,
}

impl<'t> Known<'t> {
    /// Sorts the tensors. `family` is the prefix of the family's published names.
    pub(super) fn new(tensors: &'t [PlacedTensor], family: &str) -> Known<'t> {
        let mut tensors: Vec<&PlacedTensor> = tensors.iter().collect();
        tensors.sort_by_key(|tensor| tensor.info.name.as_str());
        // Of several with one name, the last one counts.
        tensors.dedup_by(|later, earlier| {
            let same = later.info.name == earlier.info.name;
            if same {
                *earlier = *later;
            }
            same
        });
        let mut claims: HashMap<Cow<'_, str>, Claims<'_>> = HashMap::with_capacity(tensors.len());
        for (at, tensor) in tensors.iter().enumerate() {
            let (front, rest) = module_path::split(&tensor.info.name, family);
            match claims.entry(module_path::current(rest)) {
                Entry::Vacant(place) => {
                    place.insert(Claims { front, first: at, second: None });
                }
                Entry::Occupied(mut claims) => {
                    claims.get_mut().second.get_or_insert(at);
                }
            }
        }
        Known { tensors, claims }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.tensors.len()
    }

    /// The tensor at a place.
    pub(super) fn at(&self, place: usize) -> &'t PlacedTensor {
        self.tensors[place]
    }

    /// The place of the tensor that has this name in the file.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.tensors.binary_search_by_key(&name, |tensor| tensor.info.name.as_str()).ok()
    }

    /// The tensors that claim a name of the architecture.
    pub(super) fn claims(&self, name: &str) -> Option<Claims<'t>> {
        self.claims.get(name).copied()
    }

    /// The names in the files, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'t str> {
        self.tensors.iter().map(|tensor| tensor.info.name.as_str())
    }

    /// The modules in front of most names.
    pub(super) fn usual_front(&self, family: &str) -> Option<&'t str> {
        let mut fronts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.names() {
            *fronts.entry(module_path::split(name, family).0).or_default() += 1;
        }
        let most = fronts.into_iter().max_by_key(|(front, count)| (*count, front.len()));
        most.map(|(front, _)| front)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::DType;
    use crate::loader::format::Import;
    use crate::loader::format::safetensors::TensorInfo;

    /// Tensors of these names; the first has one byte, the next two.
    fn held(names: &[&str]) -> Vec<PlacedTensor> {
        let held = |(name, bytes): (&&str, u64)| {
            let (name, dtype) = ((*name).to_owned(), DType::F32);
            let info = TensorInfo { name, dtype, shape: vec![2], begin: 0, end: 8 };
            PlacedTensor { info, dtype, offset: 0, bytes, import: Import::default() }
        };
        names.iter().zip(1..).map(held).collect()
    }

    #[test]
    fn tensors_are_found_by_both_names() {
        let tensors = held(&["model.b.gamma", "b.weight", "module.a", "model.b.weight"]);
        let known = Known::new(&tensors, "model.");
        let names: Vec<&str> = known.names().collect();
        assert_eq!(names, ["b.weight", "model.b.gamma", "model.b.weight", "module.a"]);
        assert_eq!((known.named("module.a"), known.named("a")), (Some(3), None));
        let of_b = Claims { front: "", first: 0, second: Some(1) };
        assert_eq!(known.claims("b.weight"), Some(of_b));
        let of_a = Claims { front: "module.", first: 3, second: None };
        assert_eq!((known.claims("a"), known.claims("b.gamma")), (Some(of_a), None));
        assert_eq!(known.usual_front("model."), Some("model."));
    }

    #[test]
    fn of_several_tensors_with_one_name_the_last_counts() {
        let tensors = held(&["b", "a", "b", "b", "c"]);
        let known = Known::new(&tensors, "");
        assert_eq!(known.count(), 3);
        let bytes = |name| known.named(name).map(|place| known.at(place).bytes);
        assert_eq!((bytes("a"), bytes("b"), bytes("c")), (Some(2), Some(4), Some(5)));
        assert_eq!(known.claims("b").map(|claims| claims.second), Some(None));
    }
}
