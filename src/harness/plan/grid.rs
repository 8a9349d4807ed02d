//! The grid of ranks: replicas of the model, pipeline stages of a replica, tensor-parallel ranks of a stage.

use serde::Serialize;

use super::refusal::Refusal;

/// Most ranks of a grid.
const MOST: u64 = 4096;

/// How many ranks there are, and on which devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    tp: u64,
    pp: u64,
    replicas: u64,
    devices: Vec<u64>,
}

/// One rank's place. These are five numbers that loaders take for each other, so each has its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The global rank: ranks of a stage follow one another, then stages, then replicas.
    pub rank: u64,
    /// Which copy of the model.
    pub replica: u64,
    /// Which pipeline stage of the copy.
    pub stage: u64,
    /// Which rank of the stage. It alone decides the slice.
    pub tp_rank: u64,
    /// Ordinal of the device.
    pub device: u64,
}

impl Grid {
    /// A grid. Without a list of devices, each rank has the device of its own number.
    ///
    /// # Errors
    /// A degree of 0, too many ranks, a device twice, or another number of devices than of ranks.
    pub fn new(tp: u64, pp: u64, replicas: u64, devices: &[u64]) -> Result<Grid, Refusal> {
        for (name, degree) in [("tp", tp), ("pp", pp), ("replicas", replicas)] {
            if degree == 0 {
                let remedy = format!("Give {name} a degree of 1 or more.");
                let message = format!("a degree of 0: {name}");
                return Err(Refusal::grid(message).told("1 or more", 0, remedy));
            }
        }
        let world = tp.checked_mul(pp).and_then(|some| some.checked_mul(replicas));
        let world = world.filter(|world| *world <= MOST).ok_or_else(|| {
            let asked = format!("{tp} x {pp} x {replicas}");
            let of_one = tp.checked_mul(pp).is_some_and(|ranks| ranks <= MOST);
            let remedy = match of_one {
                true => "Plan one replica; the others are the same.",
                false => "Choose smaller degrees.",
            };
            Refusal::grid("too many ranks").told(format!("at most {MOST} ranks"), asked, remedy)
        })?;
        let twice = devices.iter().enumerate().find(|(at, one)| devices[..*at].contains(one));
        if let Some((at, device)) = twice {
            let first = devices.iter().position(|one| one == device).unwrap_or(at);
            let found = format!("device {device} for rank {first} and rank {at}");
            let remedy = "Name each device once.";
            let message = format!("device {device} is named twice");
            return Err(Refusal::grid(message).told("one device for each rank", found, remedy));
        }
        if !devices.is_empty() && devices.len() as u64 != world {
            let (found, remedy) = (devices.len(), "Name one device for each rank.");
            let expected = format!("{world} devices, which is tp x pp x replicas");
            let message = format!("{found} devices for {world} ranks");
            return Err(Refusal::grid(message).told(expected, found, remedy));
        }
        let devices = if devices.is_empty() { (0..world).collect() } else { devices.to_vec() };
        Ok(Grid { tp, pp, replicas, devices })
    }

    /// Ranks of a stage.
    pub fn tp(&self) -> u64 {
        self.tp
    }

    /// Stages of a replica.
    pub fn pp(&self) -> u64 {
        self.pp
    }

    /// Copies of the model.
    pub fn replicas(&self) -> u64 {
        self.replicas
    }

    /// Number of ranks.
    pub fn world(&self) -> u64 {
        self.devices.len() as u64
    }

    /// Every rank's place, by global rank.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.devices.iter().zip(0..).map(|(device, rank)| Place {
            rank,
            replica: rank / (self.tp * self.pp),
            stage: rank / self.tp % self.pp,
            tp_rank: rank % self.tp,
            device: *device,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_a_stage_are_neighbours_and_devices_have_their_own_numbers() {
        let grid = Grid::new(2, 2, 2, &[7, 6, 5, 4, 3, 2, 1, 0]).unwrap();
        let places: Vec<[u64; 5]> = grid
            .places()
            .map(|at| [at.rank, at.replica, at.stage, at.tp_rank, at.device])
            .collect();
        assert_eq!(places[1], [1, 0, 0, 1, 6]);
        assert_eq!(places[2], [2, 0, 1, 0, 5]);
        assert_eq!(places[7], [7, 1, 1, 1, 0]);
        assert_eq!((grid.world(), places.len()), (8, 8));
    }

    #[test]
    fn a_grid_that_makes_no_sense_is_refused() {
        for (grid, expected, actual) in [
            (Grid::new(0, 1, 1, &[]), "1 or more", "0"),
            (Grid::new(1, 0, 1, &[]), "1 or more", "0"),
            (Grid::new(1, 1, 0, &[]), "1 or more", "0"),
            (Grid::new(u64::MAX, 2, 1, &[]), "at most 4096 ranks", "18446744073709551615 x 2 x 1"),
            (Grid::new(64, 64, 2, &[]), "at most 4096 ranks", "64 x 64 x 2"),
            (
                Grid::new(2, 1, 1, &[3, 3]),
                "one device for each rank",
                "device 3 for rank 0 and rank 1",
            ),
            (Grid::new(2, 2, 1, &[0, 1]), "4 devices, which is tp x pp x replicas", "2"),
        ] {
            let failure = grid.unwrap_err().failure;
            assert_eq!(failure.expected.as_deref(), Some(expected));
            assert_eq!(failure.actual.as_deref(), Some(actual));
            assert!(failure.remedy.is_some());
        }
        for (grid, remedy) in [
            (Grid::new(u64::MAX, 2, 1, &[]), "Choose smaller degrees."),
            (Grid::new(64, 65, 2, &[]), "Choose smaller degrees."),
            (Grid::new(64, 64, 2, &[]), "Plan one replica; the others are the same."),
        ] {
            assert_eq!(grid.unwrap_err().failure.remedy.as_deref(), Some(remedy));
        }
    }
}
