//! How one dimension of a tensor is divided over the ranks of a stage.

use super::interval::Interval;
use super::share::Share;

/// A run of indices that is divided on its own: the queries of a fused matrix, or a whole dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it begins.
    pub begin: u64,
    /// What it consists of: heads, inner features, words.
    pub units: u64,
    /// Indices of one unit.
    pub size: u64,
    /// Units of one share. The last shares get what is left, which may be nothing.
    pub each: u64,
    /// So many neighbouring ranks hold the same share.
    pub repeat: u64,
}

impl Block {
    /// All of its indices.
    pub fn whole(&self) -> Interval {
        Interval::new(self.begin, self.begin + self.units * self.size)
    }

    /// The indices of one rank.
    pub fn of(&self, tp_rank: u64) -> Interval {
        let share = tp_rank / self.repeat;
        let at = |unit: u64| self.begin + unit.min(self.units) * self.size;
        let first = share.saturating_mul(self.each);
        Interval::new(at(first), at(first.saturating_add(self.each)))
    }

    /// The indices of a number that is perhaps no rank, as if the block had no end.
    pub fn unbounded(&self, number: u64) -> Interval {
        let width = self.each.saturating_mul(self.size);
        let first = (number / self.repeat).saturating_mul(width).saturating_add(self.begin);
        Interval::new(first, first.saturating_add(width))
    }
}

/// A divided dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which dimension.
    pub dimension: usize,
    /// Its blocks, one behind the other.
    pub blocks: Vec<Block>,
}

impl Cut {
    /// The share of one rank: of each block its own part, in the order of the blocks.
    pub fn share(&self, shape: &[u64], tp_rank: u64) -> Share {
        let held = self.blocks.iter().map(|block| block.of(tp_rank)).collect();
        Share::cut(shape, self.dimension, held)
    }

    /// Whether neighbouring ranks hold the same part of a block.
    pub fn repeats(&self) -> bool {
        self.blocks.iter().any(|block| block.repeat > 1)
    }

    /// Whether the shares are of several sizes.
    pub fn is_uneven(&self, tp: u64) -> bool {
        self.blocks.iter().any(|block| block.each * tp > block.units * block.repeat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(block: Block, tp: u64) -> Vec<(u64, u64)> {
        (0..tp).map(|rank| block.of(rank)).map(|one| (one.begin, one.end)).collect()
    }

    #[test]
    fn shares_are_even_repeated_or_cut_short() {
        let block = Block { begin: 10, units: 4, size: 3, each: 2, repeat: 1 };
        assert_eq!(ends(block, 2), [(10, 16), (16, 22)]);
        assert_eq!(block.whole(), Interval::new(10, 22));
        let keys = Block { begin: 0, units: 2, size: 5, each: 1, repeat: 2 };
        assert_eq!(ends(keys, 4), [(0, 5), (0, 5), (5, 10), (5, 10)]);
        let words = Block { begin: 0, units: 5, size: 1, each: 2, repeat: 1 };
        assert_eq!(ends(words, 4), [(0, 2), (2, 4), (4, 5), (5, 5)]);
        let cut = |block| Cut { dimension: 0, blocks: vec![block] };
        assert!(cut(words).is_uneven(4) && !cut(keys).is_uneven(4) && !cut(block).is_uneven(2));
        assert!(cut(keys).repeats() && !cut(words).repeats());
        assert_eq!(words.of(u64::MAX), Interval::new(5, 5));
        assert_eq!(words.unbounded(3), Interval::new(6, 8));
        assert_eq!(block.unbounded(1), block.of(1));
    }
}
