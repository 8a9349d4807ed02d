//! Wrong slices.

use std::sync::{Mutex, PoisonError};

use crate::contract::parallel::RankPart;
use crate::loader::LoadDecisions;
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::parallel::{Divided, HeldSlice, RankMemory};

/// Changes the slices of all ranks. The tensors are those of the files.
type Lie = fn(&mut Divided, &[PlacedTensor]);

/// Holds other slices, and says so.
pub(super) struct Wrong(pub(super) Lie);

impl LoadDecisions for Wrong {
    fn divided(&self, made: Divided, tensors: &[PlacedTensor]) -> Divided {
        lie(self.0, made, tensors)
    }
}

/// Holds other slices, and tells the right ones.
pub(super) struct Hidden {
    lie: Lie,
    told: Mutex<Vec<RankPart>>,
}

impl Hidden {
    pub(super) fn new(lie: Lie) -> Self {
        Hidden { lie, told: Mutex::default() }
    }
}

impl LoadDecisions for Hidden {
    fn divided(&self, made: Divided, tensors: &[PlacedTensor]) -> Divided {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = made.parts(tensors);
        lie(self.lie, made, tensors)
    }

    fn parts(&self, _held: Vec<RankPart>) -> Vec<RankPart> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn lie(lie: Lie, made: Divided, tensors: &[PlacedTensor]) -> Divided {
    let mut wrong = made.clone();
    lie(&mut wrong, tensors);
    // If the lie does not fit in memory, the slices are honest.
    match wrong.lay_out(tensors) {
        Ok(()) => wrong,
        Err(_) => made,
    }
}

/// Gives each rank the slices of another one of its stage. `of` gets its place in the request, its number in the
/// stage, and the number of ranks of a stage.
fn by(made: &mut Divided, tensors: &[PlacedTensor], of: impl Fn(u64, u64, u64) -> u64) {
    let honest = made.clone();
    for (rank, place) in made.ranks.iter_mut().zip(0..) {
        let other = of(place, rank.at.tp_rank, honest.grid.tp);
        for slice in &mut rank.slices {
            let shape = &tensors[slice.tensor].info.shape;
            slice.ranges = honest.ranges(slice.tensor, shape, other);
        }
    }
}

pub(super) fn first_everywhere(made: &mut Divided, tensors: &[PlacedTensor]) {
    by(made, tensors, |_, _, _| 0);
}

pub(super) fn of_neighbour(made: &mut Divided, tensors: &[PlacedTensor]) {
    by(made, tensors, |_, own, count| (own + 1) % count);
}

pub(super) fn place_for_rank(made: &mut Divided, tensors: &[PlacedTensor]) {
    by(made, tensors, |place, _, count| place % count);
}

/// The divided dimension of a slice, if it is divided.
fn divided_side(slice: &HeldSlice, tensors: &[PlacedTensor]) -> Option<usize> {
    let shape = &tensors[slice.tensor].info.shape;
    (0..shape.len()).find(|at| slice.ranges[*at] != [[0, shape[*at]]])
}

/// Calls `change` with every divided slice, its shape, its divided dimension, its rank in the stage and the
/// number of ranks of the stage.
fn each(
    made: &mut Divided,
    tensors: &[PlacedTensor],
    change: impl Fn(&mut HeldSlice, &[u64], usize, (u64, u64)),
) {
    let count = made.grid.tp;
    for rank in &mut made.ranks {
        for slice in &mut rank.slices {
            if let Some(side) = divided_side(slice, tensors) {
                let shape = &tensors[slice.tensor].info.shape;
                change(slice, shape, side, (rank.at.tp_rank, count));
            }
        }
    }
}

/// The run of one rank if a side is cut into equal runs.
fn run(side: u64, (rank, count): (u64, u64)) -> Vec<[u64; 2]> {
    let each = side / count;
    vec![[rank * each, (rank + 1) * each]]
}

pub(super) fn columns_as_rows(made: &mut Divided, tensors: &[PlacedTensor]) {
    each(made, tensors, |slice, shape, side, of| {
        if side == 1 && shape[0].is_multiple_of(of.1) && slice.ranges[1].len() == 1 {
            slice.ranges = vec![run(shape[0], of), vec![[0, shape[1]]]];
        }
    });
}

pub(super) fn fused_in_equal_runs(made: &mut Divided, tensors: &[PlacedTensor]) {
    each(made, tensors, |slice, shape, side, of| {
        if slice.ranges[side].len() > 1 {
            slice.ranges[side] = run(shape[side], of);
        }
    });
}

pub(super) fn key_heads_in_turn(made: &mut Divided, tensors: &[PlacedTensor]) {
    each(made, tensors, |slice, shape, side, (rank, _)| {
        let name = &tensors[slice.tensor].info.name;
        if let ([[begin, end]], true) =
            (slice.ranges[side].as_slice(), name.contains("k_proj") || name.contains("v_proj"))
        {
            let (head, whole) = (end - begin, shape[side]);
            let heads = whole / head;
            let begin = rank % heads * head;
            slice.ranges[side] = vec![[begin, begin + head]];
        }
    });
}

/// Holds the first run of each divided side twice.
pub(super) fn first_run_twice(made: &mut Divided, tensors: &[PlacedTensor]) {
    each(made, tensors, |slice, _, side, _| {
        let first = slice.ranges[side].first().copied();
        slice.ranges[side].extend(first);
    });
}

/// Whether a tensor has a row for each word.
fn is_of_words(tensor: &PlacedTensor) -> bool {
    ["embed_tokens.weight", "wte.weight", "lm_head.weight"]
        .iter()
        .any(|end| tensor.info.name.ends_with(end))
}

/// Gives ranks that would hold no word those of the ranks before them once more.
pub(super) fn words_repeated(made: &mut Divided, tensors: &[PlacedTensor]) {
    let held = |rank: &RankMemory| {
        let of_words = rank.slices.iter().filter(|slice| is_of_words(&tensors[slice.tensor]));
        of_words.cloned().collect::<Vec<HeldSlice>>()
    };
    let with_words: Vec<_> = made.ranks.iter().map(held).filter(|all| !all.is_empty()).collect();
    let without = made.ranks.iter_mut().filter(|rank| held(rank).is_empty());
    // A stage in the middle has none either.
    let one_stage = made.grid.pp == 1;
    for (rank, again) in without.zip(with_words.iter().cycle()).filter(|_| one_stage) {
        rank.slices.extend(again.iter().cloned());
        rank.slices.sort_by_key(|slice| slice.tensor);
    }
}

pub(super) fn last_words_dropped(made: &mut Divided, tensors: &[PlacedTensor]) {
    each(made, tensors, |slice, shape, side, of| {
        if is_of_words(&tensors[slice.tensor]) && side == 0 {
            slice.ranges[0] = run(shape[0], of);
        }
    });
}

pub(super) fn head_cut_otherwise(made: &mut Divided, tensors: &[PlacedTensor]) {
    each(made, tensors, |slice, shape, _, (rank, count)| {
        if tensors[slice.tensor].info.name.ends_with("lm_head.weight") {
            // Rows in multiples of eight.
            let each = shape[0].div_ceil(count).next_multiple_of(8);
            let begin = (rank * each).min(shape[0]);
            slice.ranges[0] = vec![[begin, (begin + each).min(shape[0])]];
        }
    });
}

pub(super) fn bias_on_every_rank(made: &mut Divided, _tensors: &[PlacedTensor]) {
    for slice in made.ranks.iter_mut().flat_map(|rank| &mut rank.slices) {
        if let Some(adds) = &mut slice.adds {
            *adds = true;
        }
    }
}

pub(super) fn norms_on_one_rank(made: &mut Divided, tensors: &[PlacedTensor]) {
    for rank in made.ranks.iter_mut().filter(|rank| rank.at.tp_rank > 0) {
        rank.slices.retain(|slice| divided_side(slice, tensors).is_some());
    }
}

pub(super) fn last_stage_without_words(made: &mut Divided, tensors: &[PlacedTensor]) {
    let last = made.grid.pp - 1;
    for rank in made.ranks.iter_mut().filter(|rank| last > 0 && rank.at.stage == last) {
        rank.slices.retain(|slice| {
            let name = &tensors[slice.tensor].info.name;
            !name.ends_with("embed_tokens.weight") && !name.ends_with("wte.weight")
        });
    }
}

/// The layer that a name is of.
fn layer_of(name: &str) -> Option<u64> {
    name.split('.').find_map(|part| part.parse().ok())
}

pub(super) fn uneven_layer_dropped(made: &mut Divided, tensors: &[PlacedTensor]) {
    let stages = made.grid.pp;
    let layers = tensors.iter().filter_map(|tensor| layer_of(&tensor.info.name)).max();
    let layers = layers.map_or(0, |last| last + 1);
    let kept = layers / stages * stages;
    for rank in &mut made.ranks {
        rank.slices.retain(|slice| {
            layer_of(&tensors[slice.tensor].info.name).is_none_or(|layer| layer < kept)
        });
    }
}

pub(super) fn others_not_counted(made: &mut Divided, _tensors: &[PlacedTensor]) {
    made.ranks.iter_mut().for_each(|rank| rank.elsewhere = 0);
}
