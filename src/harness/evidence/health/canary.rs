//! A canary: known patterns in device memory, hashed by the device and compared with the host's digests.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::seen::{Blame, Canary, Unread};
use crate::gpu::{ChunkDigests, Context, DeviceBuffer, GpuError, Kernels};

/// Bytes of a block, and blocks that are written with it: 256 MiB at once.
const BLOCK: usize = 64 << 20;
const BLOCKS: usize = 4;

/// Bytes of a chunk, one digest each; as many as sealed loads use.
const CHUNK: usize = 32 << 10;

/// Patterns: one from a seed, and its complement, so that every bit is written as 0 and as 1.
const SEED: u64 = 0x5eed_ca4a_41b1_4d01;

/// Writes both patterns to 256 MiB of the device and compares what lies there.
///
/// # Errors
/// Where there is no room, or the card fails.
pub fn sing(context: &Context, blame: Blame) -> Result<Canary, Unread> {
    let blocks: Vec<DeviceBuffer> = (0..BLOCKS)
        .map(|_| context.allocate(BLOCK))
        .collect::<Result<_, _>>()
        .map_err(|error| blame(&error))?;
    // A machine without NVRTC has no kernels; then the bytes are read back.
    let kernels = match Kernels::new(context) {
        Ok(kernels) => Some(kernels),
        Err(error) if error.is_unavailable() => None,
        Err(error) => return Err(blame(&error)),
    };
    let mut pattern = vec![0_u8; BLOCK];
    pattern.par_chunks_exact_mut(CHUNK).enumerate().for_each(|(index, chunk)| {
        fill(chunk, SEED ^ index as u64);
    });
    let mut canary = Canary { bytes: 0, wrong: 0, hashed: kernels.is_some() };
    for _ in 0..2 {
        canary.wrong +=
            wrong(&blocks, &pattern, kernels.as_ref()).map_err(|error| blame(&error))?;
        canary.bytes += (BLOCK * BLOCKS) as u64;
        pattern.par_iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(canary)
}

/// Writes a pattern into each block, then compares each. Returns how many chunks differ.
fn wrong(
    blocks: &[DeviceBuffer],
    pattern: &[u8],
    kernels: Option<&Kernels>,
) -> Result<u64, GpuError> {
    blocks.iter().try_for_each(|block| block.write(0, pattern))?;
    let Some(kernels) = kernels else {
        let mut back = vec![0; pattern.len()];
        return blocks.iter().try_fold(0, |sum, block| {
            block.read(0, &mut back)?;
            Ok(sum + differing(pattern.chunks(CHUNK), back.chunks(CHUNK)))
        });
    };
    let own: Vec<[u8; 32]> =
        pattern.par_chunks_exact(CHUNK).map(|chunk| Sha256::digest(chunk).into()).collect();
    let mut digests = ChunkDigests::new(kernels, own.len())?;
    blocks.iter().try_fold(0, |sum, block| {
        let data = block.range(0, block.bytes())?;
        let launch = digests.hash(data, CHUNK, 0..own.len(), &[])?;
        Ok(sum + differing(own.iter(), digests.fetch(launch)?.iter()))
    })
}

fn differing<T: PartialEq>(left: impl Iterator<Item = T>, right: impl Iterator<Item = T>) -> u64 {
    left.zip(right).filter(|(left, right)| left != right).count() as u64
}

/// Fills a chunk with the numbers of SplitMix64.
fn fill(chunk: &mut [u8], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for word in chunk.chunks_exact_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_chunk_is_counted() {
        let mut left = vec![0_u8; 4 * CHUNK];
        fill(&mut left, 7);
        let mut right = left.clone();
        let count = |left: &[u8], right: &[u8]| differing(left.chunks(CHUNK), right.chunks(CHUNK));
        assert_eq!(count(&left, &right), 0);
        right[CHUNK + 5] ^= 1;
        right[CHUNK + 9] ^= 1;
        right[3 * CHUNK] ^= 0x80;
        assert_eq!(count(&left, &right), 2);
    }

    #[test]
    fn chunks_of_a_pattern_differ_from_each_other() {
        let chunk = |seed| {
            let mut chunk = vec![0; 64];
            fill(&mut chunk, seed);
            chunk
        };
        assert_ne!(chunk(SEED), chunk(SEED ^ 1));
        assert_ne!(chunk(SEED)[..8], chunk(SEED)[8..16]);
    }
}
