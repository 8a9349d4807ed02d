//! The decoder's own device memory: one allocation, divided into the buffers of a step.

use crate::gpu::driver::error::GpuError;

use super::description::{Extent, STEPS};
use super::forms::{CLUSTER, queries_of_block};

/// Each buffer begins at a multiple of this, in bytes.
const ALIGNMENT: u64 = 256;

/// With room for more tokens than this, one block handles several query heads of a group. It reads
/// the keys once for them, which then saves more time than more blocks would.
const LONG: usize = 4096;

/// Blocks that search for the largest logit.
pub(super) const CHOOSERS: u32 = 64;

/// Byte offsets from the start of the allocation, until [`State::at`] makes them addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) x: u64,
    pub(super) three: u64,
    pub(super) mixed: u64,
    pub(super) inner: u64,
    pub(super) logits: u64,
    pub(super) partial: u64,
    pub(super) best: u64,
    pub(super) places: u64,
    pub(super) token: u64,
    pub(super) position: u64,
    /// Counters of finished blocks: one per query head, then one for `choose_token`.
    pub(super) done: u64,
    /// The number of chosen tokens, and then the tokens.
    pub(super) kept: u64,
    /// Cosine and sine of each position and pair; unused without rotary positions.
    pub(super) turns: u64,
    /// Keys and values of each layer.
    pub(super) caches: Vec<(u64, u64)>,
    pub(super) bytes: u64,
    /// The most blocks that share a head's keys.
    splits: u32,
    /// Query heads that a block of attention handles.
    pub(super) together: usize,
}

impl State {
    /// Divides the memory of a decoder with room for `room` tokens.
    pub(super) fn cut(of: &Extent, room: usize) -> Result<State, GpuError> {
        // A graph may run steps after the last wanted token. They need room too.
        let capacity = (room + STEPS) as u64;
        let (heads, size) = (of.heads as u64, of.head_size as u64);
        let narrow = of.key_heads as u64 * size;
        let group = of.heads / of.key_heads;
        let together = if room > LONG { queries_of_block(group, of.head_size) } else { 1 };
        let splits = (256 / (of.heads / together)).clamp(4, 32).next_multiple_of(CLUSTER) as u64;
        let mut state = State { splits: splits as u32, together, ..State::default() };
        let mut end = 0u64;
        let mut take = |count: u64| -> Result<u64, GpuError> {
            let start = end;
            let bytes =
                count.max(1).checked_mul(4).and_then(|n| n.checked_next_multiple_of(ALIGNMENT));
            let next = bytes.and_then(|bytes| end.checked_add(bytes));
            end = next.ok_or_else(|| GpuError::refused("decoder", "sizes too large"))?;
            Ok(start)
        };
        state.x = take(of.hidden as u64)?;
        state.three = take((heads + 2 * of.key_heads as u64) * size)?;
        state.mixed = take(heads * size)?;
        state.inner = take(of.inner as u64)?;
        state.logits = take(of.outputs as u64)?;
        state.partial = take(heads * splits * (size + 2))?;
        state.best = take(u64::from(CHOOSERS))?;
        state.places = take(u64::from(CHOOSERS))?;
        state.token = take(1)?;
        state.position = take(1)?;
        state.done = take(heads + 1)?;
        state.kept = take(1 + capacity)?;
        state.turns = take(capacity * size)?;
        for _ in 0..of.layers {
            state.caches.push((take(capacity * narrow)?, take(capacity * narrow)?));
        }
        state.bytes = end;
        Ok(state)
    }

    /// Blocks that share a head's keys, for a token that sees so many; a block must have `least` before a second cluster
    /// helps. More blocks are slower: before they know that they have no key, they ask for some.
    pub(super) fn blocks_for(&self, keys: usize, least: usize) -> u32 {
        let blocks = u32::try_from(keys.max(1).div_ceil(least).next_multiple_of(CLUSTER));
        blocks.unwrap_or(u32::MAX).min(self.splits)
    }

    /// The same buffers as addresses, in an allocation that begins at `start`.
    pub(super) fn at(mut self, start: u64) -> State {
        for place in [
            &mut self.x,
            &mut self.three,
            &mut self.mixed,
            &mut self.inner,
            &mut self.logits,
            &mut self.partial,
            &mut self.best,
            &mut self.places,
            &mut self.token,
            &mut self.position,
            &mut self.done,
            &mut self.kept,
            &mut self.turns,
        ] {
            *place += start;
        }
        for (keys, values) in &mut self.caches {
            *keys += start;
            *values += start;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_keys_go_to_one_cluster() {
        let state = State { splits: 24, ..State::default() };
        let wanted = [(0, 8), (1, 8), (1024, 8), (1025, 16), (2049, 24), (1 << 40, 24)];
        for (keys, blocks) in wanted {
            assert_eq!(state.blocks_for(keys, 128), blocks, "{keys} keys");
        }
        assert_eq!(state.blocks_for(257, 32), 16);
    }
}
