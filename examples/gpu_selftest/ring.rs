//! The upload ring: every byte arrives, and wrong use is refused.

use std::thread;

use weighbridge::gpu::{Context, GpuError, SLOT_BYTES, Slot, Uploader};

use crate::outcome::{Outcome, ensure, expect_error, first_difference, pattern, words};

pub fn odd_sizes(context: &Context) -> Outcome {
    let sizes =
        [0, 1, 3, 4095, 4097, SLOT_BYTES - 1, SLOT_BYTES, SLOT_BYTES + 1, 5 * SLOT_BYTES + 17];
    let mut ring = Uploader::new(context).map_err(words)?;
    let mut total = 0;
    for (index, bytes) in sizes.into_iter().enumerate() {
        let offset = 2 * index + 1;
        // One byte away from the allocator's alignment.
        let source = pattern(index as u64, bytes + 1);
        let buffer = context.allocate(offset + bytes + 5).map_err(words)?;
        buffer.fill(0xee).map_err(words)?;
        ring.send(&source[1..], &buffer, offset).map_err(words)?;
        total += bytes as u64;
        let copied = ring.finish().map_err(words)?;
        ensure(copied == total, || format!("counted {copied:?}, sent {total}"))?;
        let mut back = vec![0; buffer.bytes()];
        buffer.read(0, &mut back).map_err(words)?;
        ensure(back[offset..offset + bytes] == source[1..], || format!("{bytes} bytes differ"))?;
        let rest = back[..offset].iter().chain(&back[offset + bytes..]);
        ensure(rest.copied().all(|byte| byte == 0xee), || format!("{bytes}: bytes around"))?;
    }
    Ok(format!("{total} bytes, {} staged", ring.staging_bytes()))
}

pub fn wraps(context: &Context) -> Outcome {
    let source = pattern(9, 32 << 20);
    let buffer = context.allocate(source.len()).map_err(words)?;
    {
        let mut ring = Uploader::with_slots(context, 2, 61_441).map_err(words)?;
        let mut offset = 0;
        for (index, chunk) in source.chunks(100_003).enumerate() {
            ring.send(chunk, &buffer, offset).map_err(words)?;
            offset += chunk.len();
            if index % 97 == 0 {
                ring.finish().map_err(words)?;
            }
        }
        // No finish: dropping the ring must wait for what is still in flight.
    }
    let mut back = vec![0; source.len()];
    buffer.read(0, &mut back).map_err(words)?;
    ensure(back == source, || first_difference(&back, &source))?;
    // A buffer is dropped while copies are queued: the destructor must wait, not the reader.
    let mut ring = Uploader::new(context).map_err(words)?;
    ring.send(&source, &buffer, 0).map_err(words)?;
    drop(buffer);
    ring.finish().map_err(words)?;
    Ok(format!("{} bytes in pieces", source.len()))
}

pub fn lends(context: &Context) -> Outcome {
    let source = pattern(4, 3 * SLOT_BYTES + 1001);
    let buffer = context.allocate(source.len()).map_err(words)?;
    let mut ring = Uploader::with_slots(context, 4, weighbridge::gpu::SLOT_BYTES).map_err(words)?;
    let mut pieces = Vec::new();
    for (index, piece) in source.chunks(SLOT_BYTES).enumerate() {
        pieces.push((index * SLOT_BYTES, piece, ring.slot().map_err(words)?));
    }
    let filled = thread::scope(|scope| {
        let fill = |(offset, piece, mut slot): (usize, &'_ [u8], Slot)| {
            slot.as_mut_slice()[..piece.len()].copy_from_slice(piece);
            (offset, piece.len(), slot)
        };
        let threads: Vec<_> =
            pieces.into_iter().map(|piece| scope.spawn(move || fill(piece))).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Result<Vec<_>, _>>()
    })
    .map_err(|_| "a filling thread panicked".to_owned())?;
    for (offset, bytes, slot) in filled.into_iter().rev() {
        ring.submit(slot, 0..bytes, &buffer, offset).map_err(words)?;
    }
    ring.finish().map_err(words)?;
    let mut back = vec![0; source.len()];
    buffer.read(0, &mut back).map_err(words)?;
    ensure(back == source, || first_difference(&back, &source))?;
    Ok(format!("{} bytes from {} slots", source.len(), 4))
}

pub fn refuses(context: &Context) -> Outcome {
    let refused = |error: &GpuError| error.name == "REFUSED";
    let buffer = context.allocate(100).map_err(words)?;
    let mut ring = Uploader::with_slots(context, 2, 64).map_err(words)?;
    expect_error(ring.send(&[0; 50], &buffer, 51), refused)?;
    let (first, second) = (ring.slot().map_err(words)?, ring.slot().map_err(words)?);
    expect_error(ring.slot(), refused)?;
    expect_error(ring.submit(first, 0..65, &buffer, 0), refused)?;
    expect_error(ring.submit(second, 0..64, &buffer, 37), refused)?;
    let slot = ring.slot().map_err(words)?;
    ring.give_back(slot);
    let mut larger = Uploader::with_slots(context, 1, 128).map_err(words)?;
    expect_error(ring.submit(larger.slot().map_err(words)?, 0..1, &buffer, 0), refused)?;
    expect_error(larger.slot(), refused)?;
    ring.send(&[1; 100], &buffer, 0).map_err(words)?;
    ring.finish().map_err(words)?;
    expect_error(Uploader::with_slots(context, 0, 64), refused)?;
    expect_error(Uploader::with_slots(context, 1, 0), refused)?;
    Ok("eight ways".into())
}
