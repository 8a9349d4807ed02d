//! The slices of every rank, and their positions in its memory.

use std::collections::HashMap;
use std::iter;
use std::ops::Range;

use crate::contract::Phase;
use crate::contract::parallel::{Parallel, RankPart, Slice};
use crate::contract::request::Load;
use crate::loader::error::{LoadError, Result, quote, wire_name};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::format::widen::width;
use crate::loader::infer::RunnableModel;
use crate::loader::memory::ALIGNMENT;
use crate::loader::remedies::config::CONFIG_TIE_ABSENT;
use crate::loader::remedies::parallel::{DIVIDED_CONFIG, DIVIDED_FORMAT};

use super::grid::{Grid, RankAt};
use super::roles::{Cut, Home, Role, roles};

/// What a rank holds of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSlice {
    /// Index of the tensor among all tensors of the files.
    pub tensor: usize,
    /// Index of its file.
    pub file: usize,
    /// For each dimension the intervals that the rank holds.
    pub ranges: Vec<Vec<[u64; 2]>>,
    /// Offset in the rank's memory, in bytes.
    pub offset: u64,
    /// Its size in the rank's memory, in bytes.
    pub bytes: u64,
    /// For a bias of a row-parallel layer: whether this rank adds it.
    pub adds: Option<bool>,
}

impl HeldSlice {
    /// The shape of the slice.
    pub fn shape(&self) -> Vec<u64> {
        self.sides().collect()
    }

    fn sides(&self) -> impl Iterator<Item = u64> {
        self.ranges.iter().map(|held| held.iter().map(|[begin, end]| end - begin).sum())
    }
}

/// One rank's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankMemory {
    /// The rank.
    pub at: RankAt,
    /// Its slices, in the order of the tensors.
    pub slices: Vec<HeldSlice>,
    /// The part of its memory that each file fills, in bytes.
    pub files: Vec<Range<u64>>,
    /// Number of tensors that belong to other stages only.
    pub elsewhere: u64,
    /// How long its device worked for the load, in microseconds, if that was measured.
    pub busy_us: Option<u64>,
}

impl RankMemory {
    /// Its size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.last().map_or(0, |part| part.end)
    }

    /// What it holds of a tensor.
    pub fn slice_of(&self, tensor: usize) -> Option<&HeldSlice> {
        // A rank that holds something of every tensor has each slice at the tensor's index.
        let there = self.slices.get(tensor).filter(|slice| slice.tensor == tensor);
        there.or_else(|| {
            let at = self.slices.binary_search_by_key(&tensor, |slice| slice.tensor).ok()?;
            self.slices.get(at)
        })
    }

    fn lay_out(&mut self, tensors: &[PlacedTensor]) -> Result<()> {
        let too_large = || LoadError::internal("a rank's slices do not fit in 64 bits");
        // Slices lie in the order in which their bytes are read, so that copies are long.
        self.slices.sort_by_key(|slice| (slice.file, tensors[slice.tensor].offset));
        let mut slices = self.slices.iter_mut().peekable();
        let mut end = 0u64;
        for (file, part) in self.files.iter_mut().enumerate() {
            let start = end.checked_next_multiple_of(ALIGNMENT).ok_or_else(too_large)?;
            end = start;
            while let Some(slice) = slices.next_if(|slice| slice.file == file) {
                let elements = slice.sides().try_fold(1u64, u64::checked_mul);
                let width = width(tensors[slice.tensor].dtype).unwrap_or(0);
                let bytes = elements.and_then(|count| count.checked_mul(width));
                slice.bytes = bytes.ok_or_else(too_large)?;
                slice.offset = end.checked_next_multiple_of(ALIGNMENT).ok_or_else(too_large)?;
                end = slice.offset.checked_add(slice.bytes).ok_or_else(too_large)?;
            }
            *part = start..end;
        }
        self.slices.sort_by_key(|slice| slice.tensor);
        Ok(())
    }
}

/// A model that is divided over ranks. Nothing was read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divided {
    /// The ranks, in the order of the request.
    pub ranks: Vec<RankMemory>,
    /// The grid.
    pub grid: Grid,
    /// How each tensor of the files is divided, by index; `None` if it is not.
    pub cuts: Vec<Option<Cut>>,
}

impl Divided {
    /// Divides a model as a request asks. `tensors` are those of all files, with the offsets that they would have in
    /// the memory of a whole model, and `counts` says how many each file has.
    ///
    /// # Errors
    /// `invalid_request` for a grid that makes no sense; `unsupported_capability` for one that does not divide
    /// the model, and for other formats than safetensors; `invalid_config` if it is not known whether a head
    /// is the word embeddings.
    pub fn of(
        request: &Load,
        asked: &Parallel,
        (tensors, counts): (&[PlacedTensor], &[usize]),
        model: Option<&RunnableModel>,
    ) -> Result<Divided> {
        let (grid, ranks) = Grid::read(asked)?;
        if !request.format.is_usual() {
            let message = "only safetensors are divided over ranks";
            return Err(LoadError::unsupported(Phase::Request, DIVIDED_FORMAT, message)
                .expected("safetensors", wire_name(&request.format)));
        }
        let Some(model) = model else {
            let message = "a divided load without a configuration";
            return Err(LoadError::refused(Phase::Request, DIVIDED_CONFIG, message)
                .expected("a configuration in `inference`", "none"));
        };
        check_tie(model)?;
        let stages = grid.stages(model.config.layers);
        let known = roles(model, &grid)?;
        let encoder = known.is_empty();
        let mut known: HashMap<u64, Role> =
            known.into_iter().map(|role| (role.offset, role)).collect();
        // A tensor without bytes has the offset of another one.
        let mut role = |tensor: &PlacedTensor| match tensor.bytes {
            0 => None,
            _ => known.remove(&tensor.offset),
        };
        let roles: Vec<Option<Role>> = tensors.iter().map(&mut role).collect();
        let files = counts.iter().enumerate();
        let files = files.flat_map(|(file, count)| iter::repeat_n(file, *count));
        let rank = |at: RankAt| {
            let mut rank = RankMemory {
                at,
                slices: Vec::with_capacity(tensors.len()),
                files: vec![0..0; counts.len()],
                elsewhere: 0,
                busy_us: None,
            };
            for (index, ((file, tensor), role)) in
                files.clone().zip(tensors).zip(&roles).enumerate()
            {
                let (home, cut) = match role {
                    Some(role) => (role.home, Some(role)),
                    // Every rank of an encoder has everything.
                    None if encoder => (Home::First, None),
                    None => continue,
                };
                let last = at.stage == grid.pp - 1;
                let here = match home {
                    Home::Layer(layer) => stages.get(layer) == Some(&at.stage),
                    Home::First => at.stage == 0,
                    Home::Last => last,
                    Home::FirstAndLast => at.stage == 0 || last,
                };
                if !here {
                    rank.elsewhere += 1;
                    continue;
                }
                let divided = cut.and_then(|role| role.cut.as_ref());
                let ranges = ranges(&tensor.info.shape, divided, at.tp_rank, &grid);
                let adds = cut.filter(|role| role.is_row_bias).map(|_| at.tp_rank == 0);
                let slice = HeldSlice { tensor: index, file, ranges, offset: 0, bytes: 0, adds };
                // The last ranks may have no row of the vocabulary.
                if slice.sides().all(|side| side > 0) {
                    rank.slices.push(slice);
                }
            }
            rank
        };
        let ranks = ranks.into_iter().map(rank).collect();
        let cuts = roles.into_iter().map(|role| role?.cut).collect();
        let mut divided = Divided { ranks, grid, cuts };
        divided.lay_out(tensors)?;
        Ok(divided)
    }

    /// The ranges of a tensor that a rank of the stage holds. `shape` is the tensor's.
    pub fn ranges(&self, tensor: usize, shape: &[u64], tp_rank: u64) -> Vec<Vec<[u64; 2]>> {
        ranges(shape, self.cuts[tensor].as_ref(), tp_rank, &self.grid)
    }

    /// Gives every slice its size and its position. `tensors` are those of all files.
    ///
    /// # Errors
    /// `internal` if the sizes do not fit in 64 bits.
    pub fn lay_out(&mut self, tensors: &[PlacedTensor]) -> Result<()> {
        self.ranks.iter_mut().try_for_each(|rank| rank.lay_out(tensors))
    }

    /// What each rank holds, as the reply tells it. `tensors` are those of the files.
    pub fn parts(&self, tensors: &[PlacedTensor]) -> Vec<RankPart> {
        let part = |rank: &RankMemory| RankPart {
            rank: rank.at.rank,
            device: rank.at.device,
            held_bytes: rank.bytes(),
            tensors: rank
                .slices
                .iter()
                .map(|slice| Slice {
                    tensor: tensors[slice.tensor].info.name.clone(),
                    ranges: slice.ranges.clone(),
                    padding: 0,
                    adds: slice.adds,
                })
                .collect(),
            elsewhere: Some(rank.elsewhere),
            busy_us: rank.busy_us,
        };
        self.ranks.iter().map(part).collect()
    }
}

/// For each dimension the intervals that a rank holds.
type Ranges = Vec<Vec<[u64; 2]>>;

fn ranges(shape: &[u64], cut: Option<&Cut>, tp_rank: u64, grid: &Grid) -> Ranges {
    let of = |(dimension, side): (usize, &u64)| match cut {
        Some((divided, runs)) if *divided == dimension => {
            let held = runs.iter().map(|run| run.of(tp_rank, grid.tp));
            held.filter(|[begin, end]| begin < end).collect()
        }
        _ => vec![[0, *side]],
    };
    shape.iter().enumerate().map(of).collect()
}

/// Refuses a head beside the word embeddings if the configuration does not say which one counts. A load to
/// one device compares the two; here no rank holds both.
fn check_tie(model: &RunnableModel) -> Result<()> {
    if !model.config.tied_by_default {
        return Ok(());
    }
    let head = |name: &&String| *name == "lm_head.weight" || name.ends_with(".lm_head.weight");
    let Some(name) = model.parts.unused.iter().find(head) else { return Ok(()) };
    let shown = quote(name);
    let message = format!("tie_word_embeddings is absent, and there is {shown}");
    Err(LoadError::header(CONFIG_TIE_ABSENT.about([&shown]), message)
        .tensor(name)
        .expected("tie_word_embeddings", "a head beside the embeddings"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;
    use crate::loader::infer::tests::decoder;

    #[test]
    fn a_head_beside_the_words_is_refused_unless_the_configuration_says_which_counts() {
        let mut model = decoder().runnable().expect("a sound model");
        assert_eq!(check_tie(&model), Ok(()));
        model.parts.unused = vec!["stray".to_owned(), "model.lm_head.weight".to_owned()];
        assert_eq!(check_tie(&model), Ok(()), "the configuration says so");
        model.config.tied_by_default = true;
        let error = check_tie(&model).expect_err("nobody says which counts");
        let failure = error.failure();
        assert_eq!((failure.code, failure.tensor.as_deref()), {
            (Code::InvalidConfig, Some("model.lm_head.weight"))
        });
        assert_eq!(failure.expected.as_deref(), Some("tie_word_embeddings"));
        let shown = "false if \"model.lm_head.weight\" is the head";
        assert!(failure.remedy.as_deref().is_some_and(|text| text.contains(shown)));
        model.parts.unused = vec!["lm_head.bias".to_owned(), "other_lm_head.weight".to_owned()];
        assert_eq!(check_tie(&model), Ok(()), "no head of its own");
    }

    #[test]
    fn slices_that_do_not_fit_in_64_bits_are_a_fault_of_the_loader() {
        let (tensors, _) = decoder().placed();
        let at = RankAt { rank: 0, stage: 0, tp_rank: 0, device: crate::contract::Device::Cpu };
        for sides in [&[1 << 40, 1 << 40][..], &[1 << 62], &[(1 << 62) - 1]] {
            let held =
                |ranges| HeldSlice { tensor: 0, file: 0, ranges, offset: 0, bytes: 0, adds: None };
            let large = sides.iter().map(|side| vec![[0, *side]]).collect();
            let mut rank = RankMemory {
                at,
                slices: vec![held(vec![vec![[0, 8]]]), held(large)],
                files: std::iter::once(0..0).collect(),
                elsewhere: 0,
                busy_us: None,
            };
            let error = rank.lay_out(&tensors).expect_err("a size beyond 64 bits");
            assert_eq!(error.code(), Code::Internal, "{sides:?}");
        }
    }
}
