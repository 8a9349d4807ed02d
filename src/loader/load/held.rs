//! What lies in the memory of a model, or of one of its ranks.

use crate::contract::{DType, Phase};
use crate::loader::error::{LoadError, Result};
use crate::loader::memory::Memory;
use crate::loader::remedies::parallel::{RANK_NOT_LOADED, RANK_NOT_NAMED};

use super::model::Model;

/// A tensor, or a slice of one, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held<'m> {
    /// The tensor's name.
    pub name: &'m str,
    /// Its element type in memory.
    pub dtype: DType,
    /// The shape of what is held.
    pub shape: Vec<u64>,
    /// Offset in the memory, in bytes.
    pub offset: u64,
    /// Size, in bytes.
    pub bytes: u64,
}

impl Model {
    /// The memory of a rank and what it holds; of the whole model if no rank is named.
    ///
    /// # Errors
    /// `invalid_request` if the model is divided and no rank is named, or if it has no such rank.
    pub fn held(&self, rank: Option<u32>) -> Result<(&Memory, Vec<Held<'_>>)> {
        let (Some(divided), Memory::Divided(memories)) = (&self.divided, &self.memory) else {
            return match rank {
                None => Ok((&self.memory, self.whole())),
                Some(rank) => Err(not_loaded(rank, "a load that is divided over ranks")),
            };
        };
        let all: Vec<u32> = divided.ranks.iter().map(|one| one.at.rank).collect();
        let listed = || {
            let numbers = all.iter().map(u32::to_string).collect::<Vec<_>>();
            format!("one of ranks {}", numbers.join(", "))
        };
        let Some(rank) = rank else {
            let message = "the model is divided, and no rank is named";
            return Err(LoadError::refused(Phase::Request, RANK_NOT_NAMED, message)
                .expected(listed(), "none"));
        };
        let at = all.iter().position(|one| *one == rank);
        let found = at.and_then(|at| Some((&divided.ranks[at], memories.get(at)?)));
        let (own, memory) = found.ok_or_else(|| not_loaded(rank, &listed()))?;
        let slices = own.slices.iter().map(|slice| Held {
            name: &self.tensors[slice.tensor].info.name,
            dtype: self.tensors[slice.tensor].dtype,
            shape: slice.shape(),
            offset: slice.offset,
            bytes: slice.bytes,
        });
        Ok((memory, slices.collect()))
    }

    fn whole(&self) -> Vec<Held<'_>> {
        let tensors = self.tensors.iter().map(|tensor| Held {
            name: &tensor.info.name,
            dtype: tensor.dtype,
            shape: tensor.info.shape.clone(),
            offset: tensor.offset,
            bytes: tensor.bytes,
        });
        tensors.collect()
    }
}

fn not_loaded(rank: u32, expected: &str) -> LoadError {
    let message = format!("the model has no part of rank {rank}");
    LoadError::refused(Phase::Request, RANK_NOT_LOADED, message)
        .expected(expected, format!("rank {rank}"))
}
