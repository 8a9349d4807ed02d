//! The grid of ranks of a request, and the place of each rank in it.

use crate::contract::parallel::{Parallel, RankPlace};
use crate::contract::{Device, Phase};
use crate::loader::error::{LoadError, Result};
use crate::loader::remedies::parallel::{
    DEVICE_TWICE, GRID_EMPTY, RANK_BEYOND, RANK_NONE, RANK_TWICE,
};

/// The degrees of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Tensor-parallel ranks of a stage.
    pub tp: u64,
    /// Pipeline stages of a replica.
    pub pp: u64,
    /// Copies of the model.
    pub replicas: u64,
}

/// A rank that a request loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankAt {
    /// The global rank.
    pub rank: u32,
    /// The pipeline stage.
    pub stage: u64,
    /// The rank in its stage. It alone decides the slice.
    pub tp_rank: u64,
    /// The device of its part.
    pub device: Device,
}

impl Grid {
    /// Reads the grid and the ranks of a request, in the request's order.
    ///
    /// # Errors
    /// `invalid_request` for a degree of 0, for no rank, for a rank beyond the grid or named twice, and for a
    /// CUDA device that is named twice.
    pub fn read(request: &Parallel) -> Result<(Grid, Vec<RankAt>)> {
        let Parallel { tp, pp, replicas, ref ranks } = *request;
        let refused = |cause, message: String| LoadError::refused(Phase::Request, cause, message);
        for (name, degree) in [("tp", tp), ("pp", pp), ("replicas", replicas)] {
            if degree == 0 {
                return Err(refused(GRID_EMPTY, format!("the degree {name} is 0"))
                    .expected("1 or more", degree));
            }
        }
        let world = request.world().unwrap_or(u64::MAX);
        if ranks.is_empty() {
            return Err(refused(RANK_NONE, "no rank to load".to_owned()).expected("a rank", "none"));
        }
        for (at, RankPlace { rank, device }) in ranks.iter().enumerate() {
            if u64::from(*rank) >= world {
                let message = format!("rank {rank} is beyond the grid of {world} ranks");
                let last = world - 1;
                return Err(refused(RANK_BEYOND, message)
                    .expected(format!("a rank from 0 to {last}"), rank));
            }
            for earlier in &ranks[..at] {
                if earlier.rank == *rank {
                    let message = format!("rank {rank} is named twice");
                    return Err(refused(RANK_TWICE, message)
                        .expected("each rank once", format!("rank {rank} twice")));
                }
                if device.is_gpu() && earlier.device == *device {
                    let message = format!("{device} is named for two ranks");
                    let found = format!("{device} for ranks {} and {rank}", earlier.rank);
                    return Err(
                        refused(DEVICE_TWICE, message).expected("one device for each rank", found)
                    );
                }
            }
        }
        let (tp, pp) = (u64::from(tp), u64::from(pp));
        let place = |RankPlace { rank, device }: &RankPlace| RankAt {
            rank: *rank,
            stage: u64::from(*rank) / tp % pp,
            tp_rank: u64::from(*rank) % tp,
            device: *device,
        };
        let grid = Grid { tp, pp, replicas: u64::from(replicas) };
        Ok((grid, ranks.iter().map(place).collect()))
    }

    /// The stage of each layer: as even as possible. The first stages have one layer more if it is uneven.
    pub fn stages(&self, layers: usize) -> Vec<u64> {
        let (each, more) = (layers as u64 / self.pp, layers as u64 % self.pp);
        let sizes = (0..self.pp).map(|stage| each + u64::from(stage < more));
        sizes.zip(0..).flat_map(|(size, stage)| (0..size).map(move |_| stage)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    fn request(tp: u32, pp: u32, ranks: &[(u32, Device)]) -> Parallel {
        let ranks = ranks.iter().map(|(rank, device)| RankPlace { rank: *rank, device: *device });
        Parallel { tp, pp, replicas: 2, ranks: ranks.collect() }
    }

    #[test]
    fn a_rank_has_a_stage_and_a_place_in_it() {
        let asked = request(2, 3, &[(7, Device::Cuda(3)), (4, Device::Cuda(1))]);
        let (grid, ranks) = Grid::read(&asked).unwrap();
        let found: Vec<_> = ranks.iter().map(|one| (one.rank, one.stage, one.tp_rank)).collect();
        assert_eq!(found, [(7, 0, 1), (4, 2, 0)]);
        assert_eq!(grid.stages(7), [0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(ranks[0].device, Device::Cuda(3));
    }

    #[test]
    fn ranks_that_make_no_grid_are_refused() {
        let (cpu, card) = (Device::Cpu, Device::Cuda(1));
        for (asked, expected, actual) in [
            (request(0, 1, &[(0, cpu)]), "1 or more", "0"),
            (request(1, 1, &[]), "a rank", "none"),
            (request(2, 2, &[(8, cpu)]), "a rank from 0 to 7", "8"),
            (request(2, 1, &[(1, cpu), (1, cpu)]), "each rank once", "rank 1 twice"),
            (
                request(2, 1, &[(0, card), (1, card)]),
                "one device for each rank",
                "cuda:1 for ranks 0 and 1",
            ),
        ] {
            let error = Grid::read(&asked).unwrap_err();
            let failure = error.failure();
            assert_eq!(failure.code, Code::InvalidRequest);
            assert_eq!(failure.expected.as_deref(), Some(expected));
            assert_eq!(failure.actual.as_deref(), Some(actual));
        }
        // Several ranks may share host memory.
        assert!(Grid::read(&request(2, 1, &[(0, cpu), (1, cpu)])).is_ok());
    }
}
