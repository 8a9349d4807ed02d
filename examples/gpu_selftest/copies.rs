//! Synchronous copies, reading back, and the speed in both directions.

use std::time::Instant;

use weighbridge::gpu::{Context, Downloader, PinnedBuffer, Uploader, copy_limit};

use crate::outcome::{Outcome, ensure, expect_error, first_difference, pattern, words};

pub fn plain(context: &Context) -> Outcome {
    expect_error(context.allocate(0), |error| error.name == "REFUSED")?;
    let buffer = context.allocate(100_003).map_err(words)?;
    buffer.fill(0xa5).map_err(words)?;
    let source = pattern(1, 70_001);
    buffer.write(3, &source).map_err(words)?;
    let mut back = vec![0; buffer.bytes()];
    buffer.read(0, &mut back).map_err(words)?;
    ensure(back[3..70_004] == source[..], || "written bytes differ".into())?;
    let rest = back[..3].iter().chain(&back[70_004..]);
    ensure(rest.copied().all(|byte| byte == 0xa5), || "fill was disturbed".into())?;
    expect_error(buffer.read(100_000, &mut [0; 4]), |error| error.name == "REFUSED")?;
    expect_error(buffer.write(usize::MAX, &[0; 4]), |error| error.name == "REFUSED")?;
    let mut pinned = PinnedBuffer::allocate(context, 4097).map_err(words)?;
    ensure(pinned.as_slice().iter().all(|byte| *byte == 0), || "pinned not zero".into())?;
    pinned.as_mut_slice().fill(7);
    buffer.write(11, pinned.as_slice()).map_err(words)?;
    buffer.read(11, &mut back[..4097]).map_err(words)?;
    ensure(back[..4097] == *pinned.as_slice(), || "pinned bytes differ".into())?;
    Ok("100003 bytes".into())
}

pub fn download(context: &Context) -> Outcome {
    let source = pattern(6, (256 << 20) + 13);
    let buffer = context.allocate(source.len()).map_err(words)?;
    let mut ring = Uploader::new(context).map_err(words)?;
    ring.send(&source, &buffer, 0).map_err(words)?;
    ring.finish().map_err(words)?;
    let mut staging = Downloader::new(context).map_err(words)?;
    let mut back = vec![0; source.len()];
    let mut speed = 0.0;
    for (offset, bytes) in
        [(0, 0), (7, 1), (5, 10_000_001), (1, source.len() - 1), (0, source.len())]
    {
        back.fill(0);
        let range = buffer.range(offset, bytes).map_err(words)?;
        let start = Instant::now();
        staging.read(range, &mut back[..bytes]).map_err(words)?;
        speed = bytes as f64 / start.elapsed().as_secs_f64() / 1e9;
        let wanted = &source[offset..offset + bytes];
        ensure(back[..bytes] == *wanted, || first_difference(&back[..bytes], wanted))?;
    }
    let (mut seen, mut wrong) = (0, 0);
    let range = buffer.range(3, 40_000_003).map_err(words)?;
    staging
        .visit(range, |at, piece| {
            wrong += usize::from(at != seen || *piece != source[3 + at..][..piece.len()]);
            seen += piece.len();
        })
        .map_err(words)?;
    ensure(wrong == 0 && seen == 40_000_003, || format!("visit: {wrong} wrong, {seen} seen"))?;
    Ok(format!("{} bytes at {speed:.1} GB/s, {} staged", source.len(), staging.staging_bytes()))
}

pub fn limits(context: &Context) -> Outcome {
    let start = Instant::now();
    let limit = copy_limit(context).map_err(words)?;
    let seconds = start.elapsed().as_secs_f64();
    let speeds = [limit.h2d_pinned_gbps, limit.h2d_pageable_gbps, limit.d2h_pinned_gbps];
    let sane = speeds.iter().all(|speed| speed.is_finite() && *speed > 0.0);
    ensure(sane, || format!("{limit:?}"))?;
    Ok(format!("{limit:.1?} in {seconds:.2} s"))
}
