//! The kernels compared with independent results: `sha2`, plain counting, and widening by its
//! definition.

use sha2::{Digest, Sha256};
use weighbridge::gpu::{
    ChunkDigests, Context, Element, Kernels, Move, MoveKind, ScanTensor, Tally, TensorScan,
    move_rows,
};

use crate::outcome::{Outcome, ensure, first_difference, pattern, words};

/// Random lengths, all lengths around a block's edges, and every usual chunk size.
pub fn digests(context: &Context) -> Outcome {
    let kernels = Kernels::new(context).map_err(words)?;
    let data = pattern(7, 9 << 20);
    let buffer = context.allocate(data.len()).map_err(words)?;
    buffer.write(0, &data).map_err(words)?;
    let mut lengths: Vec<(usize, usize)> = (1..=600).map(|length| (length, 4096)).collect();
    for (at, bytes) in pattern(11, 16 * 3000).chunks(16).enumerate() {
        let word =
            |at: usize| bytes[at..at + 8].iter().fold(0usize, |sum, b| sum << 8 | *b as usize);
        let chunk = 16 << (word(0) % 16);
        // Many short lengths, and every hundredth length up to the maximum.
        let most = if at % 100 == 0 { data.len() } else { 20_000 };
        lengths.push((1 + word(8) % most, chunk));
    }
    let mut hashed = 0u64;
    for (index, (length, chunk)) in lengths.iter().copied().enumerate() {
        let offset = index % 7 * 16;
        let length = length.min(data.len() - offset);
        let here = &data[offset..offset + length];
        let count = length.div_ceil(chunk);
        let mut digests = ChunkDigests::new(&kernels, count).map_err(words)?;
        let range = buffer.range(offset, length).map_err(words)?;
        // In two launches where there are two chunks, so that positions matter.
        let cut = count / 2;
        let mut launches = Vec::new();
        for part in [0..cut, cut..count] {
            if !part.is_empty() {
                launches.push(digests.hash(range, chunk, part, &[]).map_err(words)?);
            }
        }
        let mut found = Vec::new();
        for launch in launches {
            found.extend(digests.fetch(launch).map_err(words)?);
        }
        for (at, (found, bytes)) in found.iter().zip(here.chunks(chunk)).enumerate() {
            let own: [u8; 32] = Sha256::digest(bytes).into();
            ensure(*found == own, || format!("chunk {at} of {length} bytes by {chunk} differs"))?;
        }
        ensure(found.len() == count, || "not every chunk has a digest".into())?;
        hashed += length as u64;
    }
    let mut digests = ChunkDigests::new(&kernels, 1).map_err(words)?;
    let odd = buffer.range(1, 64).map_err(words)?;
    ensure(digests.hash(odd, 64, 0..1, &[]).is_err(), || "misaligned data was taken".into())?;
    let all = buffer.range(0, 64).map_err(words)?;
    ensure(digests.hash(all, 64, 0..2, &[]).is_err(), || "a chunk too many was taken".into())?;
    ensure(digests.hash(all, 32, 0..2, &[]).is_err(), || {
        "more than a launch has room for was taken".into()
    })?;
    Ok(format!("{} lengths, {hashed} bytes", lengths.len()))
}

/// Random bits of every type, counted on the device and on the host.
pub fn scan(context: &Context) -> Outcome {
    let kernels = Kernels::new(context).map_err(words)?;
    let mut bytes = pattern(3, 3 << 20);
    // Zeros in the middle, so that windows can be empty.
    bytes[700_000..2_200_000].fill(0);
    let buffer = context.allocate(bytes.len()).map_err(words)?;
    buffer.write(0, &bytes).map_err(words)?;
    let mut tensors = Vec::new();
    let mut at = 0u64;
    for (index, count) in [1u64, 64, 65, 70_000, 300_001, 4, 0, 200_000, 131_072, 65_536, 12]
        .into_iter()
        .cycle()
        .take(24)
        .enumerate()
    {
        let element = [Element::F16, Element::BF16, Element::F32][index % 3];
        let width = if element == Element::F32 { 4 } else { 2 };
        at = at.next_multiple_of(16);
        let take = count.min((bytes.len() as u64 - at) / width);
        let window = |percent: u64| {
            let start = (take * percent / 100).min(take - take.min(64));
            start..start + take.min(64)
        };
        let windows = [window(10), window(50), window(90)];
        tensors.push(ScanTensor { offset: at, elements: take, element, windows });
        at += take * width;
    }
    let mut scan = TensorScan::new(&kernels, &buffer, &tensors).map_err(words)?;
    for landed in [0, 1, 100_000, 100_001, 1_500_000, bytes.len() as u64] {
        scan.landed(landed, &[]).map_err(words)?;
    }
    let found = scan.tallies().map_err(words)?;
    for (index, (tensor, found)) in tensors.iter().zip(&found).enumerate() {
        let own = count(&bytes, tensor);
        let squares = (own.squares - found.squares).abs() <= own.squares * 1e-12
            || own.squares.is_nan() && found.squares.is_nan()
            || own.squares == found.squares;
        let rest = Tally { squares: found.squares, ..own } == *found
            || (found.squares.is_nan()
                && Tally { squares: 0.0, ..own } == Tally { squares: 0.0, ..*found });
        ensure(squares && rest, || format!("tensor {index}: {found:?}, not {own:?}"))?;
    }
    let unfinished = TensorScan::new(&kernels, &buffer, &tensors).map_err(words)?;
    ensure(unfinished.tallies().is_err(), || "tallies of what never landed were given".into())?;
    let outside = ScanTensor { offset: bytes.len() as u64 - 2, ..tensors[0].clone() };
    let outside = ScanTensor { elements: 2, ..outside };
    let refused = TensorScan::new(&kernels, &buffer, &[outside]).is_err();
    ensure(refused, || "a tensor outside the buffer was taken".into())?;
    Ok(format!("{} tensors", tensors.len()))
}

/// The same by the definition, element by element.
fn count(bytes: &[u8], tensor: &ScanTensor) -> Tally {
    let width = if tensor.element == Element::F32 { 4 } else { 2 };
    let start = tensor.offset as usize;
    let values: Vec<f32> = bytes[start..start + tensor.elements as usize * width]
        .chunks(width)
        .map(|raw| match tensor.element {
            Element::F16 => half::f16::from_le_bytes([raw[0], raw[1]]).to_f32(),
            Element::BF16 => half::bf16::from_le_bytes([raw[0], raw[1]]).to_f32(),
            Element::F32 => f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]),
        })
        .collect();
    let first_bad = values.iter().position(|value| !value.is_finite());
    let mut hits = 0;
    for (index, window) in tensor.windows.iter().enumerate() {
        let window = &values[window.start as usize..window.end as usize];
        hits |= u32::from(window.iter().any(|value| *value != 0.0)) << index;
    }
    Tally {
        zeros: values.iter().filter(|value| **value == 0.0).count() as u64,
        non_finite: values.iter().filter(|value| !value.is_finite()).count() as u64,
        first_non_finite: first_bad.map_or(u64::MAX, |at| at as u64),
        squares: values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum(),
        varies: values.iter().any(|value| *value != values[0]).into(),
        hits,
    }
}

/// Every bit pattern of both half-precision types widened from an odd address, and bytes copied to
/// one.
pub fn moves(context: &Context) -> Outcome {
    let kernels = Kernels::new(context).map_err(words)?;
    let patterns: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let from = context.allocate(patterns.len() + 1).map_err(words)?;
    from.write(1, &patterns).map_err(words)?;
    let count = patterns.len() as u64 / 2;
    let to = context.allocate(count as usize * 8 + patterns.len() + 3).map_err(words)?;
    let runs = [
        Move::run(1, 0, count, MoveKind::WidenF16),
        Move::run(1, count * 4, count, MoveKind::WidenBf16),
        Move::run(1, count * 8 + 3, count * 2, MoveKind::Copy),
    ];
    move_rows(&kernels, &from, &to, &runs).map_err(words)?;
    let mut back = vec![0; count as usize * 8 + patterns.len() + 3];
    to.read(0, &mut back).map_err(words)?;
    let mut own = Vec::new();
    for widened in [by_f16 as fn(u16) -> u32, |half| u32::from(half) << 16] {
        own.extend((0..=u16::MAX).flat_map(|half| widened(half).to_le_bytes()));
    }
    ensure(back[..own.len()] == own, || first_difference(&back[..own.len()], &own))?;
    ensure(back[own.len() + 3..] == patterns, || "bytes copied are others".into())?;
    let beyond = Move::run(2, 0, count, MoveKind::WidenF16);
    let refused = move_rows(&kernels, &from, &to, &[beyond]).is_err();
    ensure(refused, || "a run beyond its buffer was taken".into())?;
    let rows = strided_rows(&kernels)?;
    Ok(format!("{count} patterns of two types, {rows} rows at a distance"))
}

/// Rows at equal distances, at every alignment that the kernel treats apart, beside a copy by the processor.
/// Returns the number of rows.
fn strided_rows(kernels: &Kernels) -> Result<u64, String> {
    let bytes = 1usize << 20;
    let noise: Vec<u8> = (0..bytes as u64).map(|at| ((at * at) >> 7) as u8 ^ at as u8).collect();
    let context = kernels.context();
    let [from, to] = [(); 2].map(|()| context.allocate(bytes));
    let (from, to) = (from.map_err(words)?, to.map_err(words)?);
    from.write(0, &noise).map_err(words)?;
    let (mut moved, kind) = (0, MoveKind::Copy);
    for (from_at, to_at, count, rows, from_stride, to_stride) in [
        (0, 0, 3072, 100, 8960, 3072),
        (32, 16, 1536, 300, 3072, 1600),
        (4, 8, 1532, 300, 3072, 1540),
        (1, 2, 1531, 300, 3071, 1533),
        (0, 1, 70_000, 5, 140_000, 70_001),
        (16, 32, 96, 5000, 192, 96),
    ] {
        to.fill(0xa5).map_err(words)?;
        let each = Move { from: from_at, to: to_at, count, rows, from_stride, to_stride, kind };
        move_rows(kernels, &from, &to, &[each]).map_err(words)?;
        let (mut found, mut own) = (vec![0; bytes], vec![0xa5; bytes]);
        to.read(0, &mut found).map_err(words)?;
        for row in 0..rows {
            let source = (from_at + row * from_stride) as usize..;
            let target = (to_at + row * to_stride) as usize..;
            own[target][..count as usize].copy_from_slice(&noise[source][..count as usize]);
        }
        ensure(found == own, || format!("{each:?}: {}", first_difference(&found, &own)))?;
        moved += rows;
    }
    Ok(moved)
}

/// F16 to F32 by value, and for NaN by sign and payload.
fn by_f16(half: u16) -> u32 {
    let value = half::f16::from_bits(half);
    if value.is_nan() {
        let sign = u32::from(half & 0x8000) << 16;
        return sign | 0x7f80_0000 | u32::from(half & 0x3ff) << 13;
    }
    value.to_f32().to_bits()
}
