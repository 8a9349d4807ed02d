//! Blocks of 256 elements in rows of eight or four, each row an entry of a table (a grid) with signs
//! or an offset.

use super::bits::{half, nibble, short, word};
use super::grids::{self, Grid};

/// Signs of eight elements by a number of seven bits: its bits, and an eighth that makes the number
/// of minus signs even.
fn even_signs(seven: u32) -> u8 {
    let seven = (seven & 0x7f) as u8;
    seven | ((seven.count_ones() & 1) as u8) << 7
}

/// Writes one row: scale x entry, with a minus for each bit of `signs`.
fn signed(out: &mut [f32], scale: f32, entry: &[i8], signs: u8) {
    for (at, (value, element)) in out.iter_mut().zip(entry).enumerate() {
        let size = scale * f32::from(*element);
        *value = if signs >> at & 1 == 1 { -size } else { size };
    }
}

/// Layout: scale, then for each 32 elements four bytes of entries and a word with four times seven
/// signs and a scale of four bits.
pub(super) fn iq2_xxs(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    for (group, values) in out.chunks_exact_mut(32).enumerate() {
        let entries = &block[2 + 8 * group..][..4];
        let word = word(block, 6 + 8 * group);
        let own = scale * (0.5 + (word >> 28) as f32) * 0.25;
        for (row, (values, entry)) in values.chunks_exact_mut(8).zip(entries).enumerate() {
            let entry = grids::IQ2_XXS.entry(usize::from(*entry));
            signed(values, own, entry, even_signs(word >> (7 * row)));
        }
    }
}

/// Layout: scale, 32 numbers of sixteen bits with entry (nine bits) and signs (seven bits), sixteen
/// scales of four bits.
pub(super) fn iq2_xs(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    for (row, values) in out.chunks_exact_mut(8).enumerate() {
        let number = short(block, 2 + 2 * row);
        let own = nibble(block[66 + row / 4], row / 2 % 2 == 1);
        let own = scale * (0.5 + f32::from(own)) * 0.25;
        let entry = grids::IQ2_XS.entry(usize::from(number & 511));
        signed(values, own, entry, even_signs(u32::from(number >> 9)));
    }
}

/// Layout: scale, 32 bytes of entries, 32 bytes of signs, eight bytes with the entries' high two
/// bits, sixteen scales of four bits.
pub(super) fn iq2_s(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    for (row, values) in out.chunks_exact_mut(8).enumerate() {
        let high = block[66 + row / 4] >> (2 * (row % 4)) & 3;
        let entry = usize::from(block[2 + row]) | usize::from(high) << 8;
        let own = nibble(block[74 + row / 4], row / 2 % 2 == 1);
        let own = scale * (0.5 + f32::from(own)) * 0.25;
        signed(values, own, grids::IQ2_S.entry(entry), block[34 + row]);
    }
}

/// Layout: scale, 64 bytes of entries of four elements, then for each 32 elements a word with four
/// times seven signs and a scale of four bits.
pub(super) fn iq3_xxs(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    for (row, values) in out.chunks_exact_mut(8).enumerate() {
        let word = word(block, 66 + row / 4 * 4);
        let own = scale * (0.5 + (word >> 28) as f32) * 0.5;
        let signs = even_signs(word >> (7 * (row % 4)));
        fours(values, own, &grids::IQ3_XXS, signs, |at| usize::from(block[2 + 2 * row + at]));
    }
}

/// Layout: scale, 64 bytes of entries of four elements, eight bytes with the entries' ninth bits, 32
/// bytes of signs, eight scales of four bits.
pub(super) fn iq3_s(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    for (row, values) in out.chunks_exact_mut(8).enumerate() {
        let own = nibble(block[106 + row / 8], row / 4 % 2 == 1);
        let own = scale * f32::from(1 + 2 * own);
        fours(values, own, &grids::IQ3_S, block[74 + row], |at| {
            let at = 2 * row + at;
            let high = block[66 + at / 8] >> (at % 8) & 1;
            usize::from(block[2 + at]) | usize::from(high) << 8
        });
    }
}

/// Writes a row of two entries of four elements.
fn fours(out: &mut [f32], scale: f32, grid: &Grid, signs: u8, entry: impl Fn(usize) -> usize) {
    for (at, values) in out.chunks_exact_mut(4).enumerate() {
        signed(values, scale, grid.entry(entry(at)), signs >> (4 * at));
    }
}

/// Writes one row: scale x (entry + offset), where the offset is an eighth, up or down.
fn moved(out: &mut [f32], scale: f32, entry: &[i8], down: bool) {
    let offset = if down { -0.125 } else { 0.125 };
    for (value, element) in out.iter_mut().zip(entry) {
        *value = scale * (f32::from(*element) + offset);
    }
}

/// Layout: scale, 32 bytes of entries, then for each 32 elements a number with four times three high
/// bits of the entries, a scale of three bits and the direction of the offset.
pub(super) fn iq1_s(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    for (row, values) in out.chunks_exact_mut(8).enumerate() {
        let number = short(block, 34 + row / 4 * 2);
        let own = scale * f32::from(2 * (number >> 12 & 7) + 1);
        let high = number >> (3 * (row % 4)) & 7;
        let entry = usize::from(block[2 + row]) | usize::from(high) << 8;
        moved(values, own, grids::IQ1_S.entry(entry), number & 0x8000 != 0);
    }
}

/// Layout: 32 bytes of entries, sixteen bytes with three high bits and the direction of the offset
/// for each entry, four numbers with four scales of three bits each. The top four bits of these
/// numbers are the block's scale.
pub(super) fn iq1_m(block: &[u8], out: &mut [f32]) {
    let numbers = [0, 1, 2, 3].map(|at| short(block, 48 + 2 * at));
    let top = numbers.iter().rev().fold(0, |all, number| all << 4 | number >> 12);
    let scale = half(&top.to_le_bytes(), 0);
    for (row, values) in out.chunks_exact_mut(8).enumerate() {
        let group = row / 2;
        let own = scale * f32::from(2 * (numbers[group / 4] >> (3 * (group % 4)) & 7) + 1);
        let more = nibble(block[32 + row / 2], row % 2 == 1);
        let entry = usize::from(block[row]) | usize::from(more & 7) << 8;
        moved(values, own, grids::IQ1_S.entry(entry), more & 8 != 0);
    }
}
