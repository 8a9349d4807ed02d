//! Tries everything that `weighbridge::gpu` promises on a real device, in about ten seconds.
//!
//! Each check prints `ok` or `FAIL`, what it saw, and its time; the exit code is 1 if any failed or
//! if there is no GPU. Some checks provoke errors of the driver on purpose, so under
//! `compute-sanitizer` it wants `--report-api-errors no`, and `--target-processes all` for the child
//! that it starts. `gpu_selftest N` takes the device with CUDA ordinal N in place of 0.

use std::fmt::Display;
use std::process::{Command, ExitCode};
use std::time::Instant;
use std::{env, thread};

use weighbridge::gpu::{
    Ballast, Blas, Context, Downloader, GpuError, ManagedBuffer, PinnedBuffer, SLOT_BYTES,
    Uploader, copy_limit, device_count, device_uuid, driver_version, nvml, pointer_facts,
};

/// What a check saw, or why it failed.
type Outcome = Result<String, String>;

/// A check by its name.
type Check = (&'static str, fn(&Context) -> Outcome);

const CHECKS: &[Check] = &[
    ("device", device),
    ("allocate, write, read, fill", plain_copies),
    ("ring: odd sizes and offsets", ring_odd_sizes),
    ("ring: small slots in a long queue", ring_wraps),
    ("ring: slots lent to threads", ring_lends),
    ("ring: misuse is refused", ring_refuses),
    ("download: one lane and many", download),
    ("ipc: child process sees the same bytes", ipc),
    ("ipc: bad handles are errors", ipc_refuses),
    ("pointer facts", pointers),
    ("out of memory", out_of_memory),
    ("ballast", ballast),
    ("cublas against f64", blas),
    ("nvml", nvml_agrees),
    ("copy limit", limits),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("import") => child(&arguments[1..]),
        Some(text) => text.parse().map_err(words).and_then(parent),
        None => parent(0),
    };
    match outcome {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("FAIL {why}");
            ExitCode::FAILURE
        }
    }
}

fn parent(ordinal: u32) -> Outcome {
    let context = Context::open(ordinal).map_err(words)?;
    let mut failed = 0;
    for (name, check) in CHECKS {
        let start = Instant::now();
        let outcome = check(&context);
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(seen) => println!("ok {name}: {seen} ({seconds:.2} s)"),
            Err(why) => {
                failed += 1;
                println!("FAIL {name}: {why} ({seconds:.2} s)");
            }
        }
    }
    context.synchronize().map_err(words)?;
    match failed {
        0 => Ok(format!("all {} checks passed", CHECKS.len())),
        _ => Err(format!("{failed} of {} checks", CHECKS.len())),
    }
}

fn device(context: &Context) -> Outcome {
    let (name, uuid) = (context.name().map_err(words)?, context.uuid().map_err(words)?);
    let (major, minor) = context.compute_capability().map_err(words)?;
    let (free, total) = context.memory().map_err(words)?;
    let count = device_count().map_err(words)?;
    let version = driver_version().map_err(words)?;
    ensure(uuid.starts_with("GPU-") && uuid.len() == 40, || format!("uuid: {uuid}"))?;
    ensure(device_uuid(context.ordinal()).as_ref() == Ok(&uuid), || "uuids differ".into())?;
    ensure(context.ordinal() < count, || format!("count: {count}"))?;
    ensure(0 < free && free <= total, || format!("free {free} of {total}"))?;
    ensure(major >= 3 && version >= 12000, || format!("capability {major}, driver {version}"))?;
    expect_error(Context::open(count), GpuError::is_invalid_device)?;
    Ok(format!("{name}, {uuid}, {major}.{minor}, {} MiB, CUDA {version}", total >> 20))
}

fn plain_copies(context: &Context) -> Outcome {
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

fn ring_odd_sizes(context: &Context) -> Outcome {
    let sizes =
        [0, 1, 3, 4095, 4097, SLOT_BYTES - 1, SLOT_BYTES, SLOT_BYTES + 1, 5 * SLOT_BYTES + 17];
    let mut ring = Uploader::new(context).map_err(words)?;
    let mut total = 0;
    for (index, bytes) in sizes.into_iter().enumerate() {
        let offset = 2 * index + 1;
        // One byte off any alignment the allocator gave.
        let source = pattern(index as u64, bytes + 1);
        let buffer = context.allocate(offset + bytes + 5).map_err(words)?;
        buffer.fill(0xee).map_err(words)?;
        ring.send(&source[1..], &buffer, offset).map_err(words)?;
        total += bytes as u64;
        let copied = ring.finish().map_err(words)?;
        ensure(copied.bytes == total, || format!("counted {copied:?}, sent {total}"))?;
        let mut back = vec![0; buffer.bytes()];
        buffer.read(0, &mut back).map_err(words)?;
        ensure(back[offset..offset + bytes] == source[1..], || format!("{bytes} bytes differ"))?;
        let rest = back[..offset].iter().chain(&back[offset + bytes..]);
        ensure(rest.copied().all(|byte| byte == 0xee), || format!("{bytes}: bytes around"))?;
    }
    let copied = ring.finish().map_err(words)?;
    let speed = copied.bytes as f64 / copied.seconds / 1e9;
    Ok(format!("{total} bytes, copies at {speed:.1} GB/s, {} staged", ring.staging_bytes()))
}

fn ring_wraps(context: &Context) -> Outcome {
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
    // A buffer dropped under queued copies: the destructor has to wait, not the reader.
    let mut ring = Uploader::new(context).map_err(words)?;
    ring.send(&source, &buffer, 0).map_err(words)?;
    drop(buffer);
    ring.finish().map_err(words)?;
    Ok(format!("{} bytes in pieces", source.len()))
}

fn ring_lends(context: &Context) -> Outcome {
    let source = pattern(4, 3 * SLOT_BYTES + 1001);
    let buffer = context.allocate(source.len()).map_err(words)?;
    let mut ring = Uploader::new(context).map_err(words)?;
    let mut pieces = Vec::new();
    for (index, piece) in source.chunks(SLOT_BYTES).enumerate() {
        pieces.push((index * SLOT_BYTES, piece, ring.slot().map_err(words)?));
    }
    let filled = thread::scope(|scope| {
        let fill = |(offset, piece, mut slot): (usize, &'_ [u8], weighbridge::gpu::Slot)| {
            slot.as_mut_slice()[..piece.len()].copy_from_slice(piece);
            (offset, piece.len(), slot)
        };
        let threads: Vec<_> =
            pieces.into_iter().map(|piece| scope.spawn(move || fill(piece))).collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Result<Vec<_>, _>>()
    })
    .map_err(|_| "a filling thread panicked".to_owned())?;
    for (offset, bytes, slot) in filled.into_iter().rev() {
        ring.submit(slot, bytes, &buffer, offset).map_err(words)?;
    }
    ring.finish().map_err(words)?;
    let mut back = vec![0; source.len()];
    buffer.read(0, &mut back).map_err(words)?;
    ensure(back == source, || first_difference(&back, &source))?;
    Ok(format!("{} bytes from {} slots", source.len(), 4))
}

fn ring_refuses(context: &Context) -> Outcome {
    let refused = |error: &GpuError| error.name == "REFUSED";
    let buffer = context.allocate(100).map_err(words)?;
    let mut ring = Uploader::with_slots(context, 2, 64).map_err(words)?;
    expect_error(ring.send(&[0; 50], &buffer, 51), refused)?;
    let (first, second) = (ring.slot().map_err(words)?, ring.slot().map_err(words)?);
    expect_error(ring.slot(), refused)?;
    expect_error(ring.submit(first, 65, &buffer, 0), refused)?;
    expect_error(ring.submit(second, 64, &buffer, 37), refused)?;
    let slot = ring.slot().map_err(words)?;
    ring.give_back(slot);
    ring.send(&[1; 100], &buffer, 0).map_err(words)?;
    ring.finish().map_err(words)?;
    expect_error(Uploader::with_slots(context, 0, 64), refused)?;
    expect_error(Uploader::with_slots(context, 1, 0), refused)?;
    Ok("five ways".into())
}

fn download(context: &Context) -> Outcome {
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

fn ipc(context: &Context) -> Outcome {
    let bytes = (128 << 20) + 77;
    let buffer = context.allocate(bytes).map_err(words)?;
    let mut ring = Uploader::new(context).map_err(words)?;
    ring.send(&pattern(12, bytes), &buffer, 0).map_err(words)?;
    ring.finish().map_err(words)?;
    let handle = buffer.ipc_handle().map_err(words)?;
    let handle: String = handle.iter().map(|byte| format!("{byte:02x}")).collect();
    let output = Command::new(env::current_exe().map_err(words)?)
        .args(["import", &context.ordinal().to_string(), &handle, &bytes.to_string(), "12"])
        .output()
        .map_err(words)?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let complained = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure(output.status.success(), || format!("child: {} {said} {complained}", output.status))?;
    Ok(said)
}

/// The other side of [`ipc`]: arguments are ordinal, handle in hexadecimal, length, and the seed of
/// the bytes to expect.
fn child(arguments: &[String]) -> Outcome {
    let [ordinal, hexadecimal, bytes, seed] = arguments else {
        return Err(format!("import takes four arguments, not {}", arguments.len()));
    };
    let mut handle = [0; 64];
    for (index, byte) in handle.iter_mut().enumerate() {
        let digits = hexadecimal.get(2 * index..2 * index + 2).ok_or("short handle")?;
        *byte = u8::from_str_radix(digits, 16).map_err(words)?;
    }
    let bytes: usize = bytes.parse().map_err(words)?;
    let expected = pattern(seed.parse().map_err(words)?, bytes);
    let context = Context::open(ordinal.parse().map_err(words)?).map_err(words)?;
    expect_error(context.import(handle, bytes + (1 << 30)), |error| error.name == "REFUSED")?;
    let imported = context.import(handle, bytes).map_err(words)?;
    let facts = pointer_facts(&context, imported.pointer()).map_err(words)?;
    ensure(facts.is_device && !facts.managed, || format!("facts: {facts:?}"))?;
    let mut back = vec![0; bytes];
    imported.read(0, &mut back).map_err(words)?;
    ensure(back == expected, || first_difference(&back, &expected))?;
    let start = Instant::now();
    imported.read(0, &mut back).map_err(words)?;
    let speed = bytes as f64 / start.elapsed().as_secs_f64() / 1e9;
    imported.read(bytes - 5, &mut back[..5]).map_err(words)?;
    ensure(back[..5] == expected[bytes - 5..], || "the tail differs".into())?;
    expect_error(imported.read(bytes - 4, &mut back[..5]), |error| error.name == "REFUSED")?;
    let mut wrong = 0;
    imported
        .visit(9, bytes - 9, |at, piece| {
            wrong += usize::from(*piece != expected[9 + at..][..piece.len()]);
        })
        .map_err(words)?;
    ensure(wrong == 0, || format!("{wrong} pieces differ"))?;
    Ok(format!("{bytes} bytes equal, read at {speed:.1} GB/s, {facts:?}"))
}

fn ipc_refuses(context: &Context) -> Outcome {
    let buffer = context.allocate(1 << 21).map_err(words)?;
    let own = expect_error(context.import(buffer.ipc_handle().map_err(words)?, 1 << 21), |_| true)?;
    let made_up = expect_error(context.import([0x5a; 64], 1 << 21), |_| true)?;
    ensure(!own.is_sticky() && !made_up.is_sticky(), || "the context is lost".into())?;
    context.synchronize().map_err(words)?;
    Ok(format!("own handle {}, made-up handle {}", own.name, made_up.name))
}

fn pointers(context: &Context) -> Outcome {
    let buffer = context.allocate(3 << 20).map_err(words)?;
    let real = pointer_facts(context, buffer.pointer() + 12_345).map_err(words)?;
    ensure(real.is_device && !real.managed && real.ipc_capable, || format!("real: {real:?}"))?;
    ensure(real.ordinal == context.ordinal() as i32, || format!("real: {real:?}"))?;
    ensure(real.range_base == buffer.pointer(), || format!("real: {real:?}"))?;
    ensure(real.range_bytes >= 3 << 20, || format!("real: {real:?}"))?;
    let managed = ManagedBuffer::allocate(context, 4096).map_err(words)?;
    let moved = pointer_facts(context, managed.pointer()).map_err(words)?;
    ensure(moved.managed && !moved.ipc_capable, || format!("managed: {moved:?}"))?;
    let pinned = PinnedBuffer::allocate(context, 4096).map_err(words)?;
    let host = pointer_facts(context, pinned.as_slice().as_ptr() as u64).map_err(words)?;
    ensure(!host.is_device && !host.managed, || format!("pinned: {host:?}"))?;
    for address in [0, 0x7f80_0000_0000, u64::MAX] {
        expect_error(pointer_facts(context, address), GpuError::is_invalid_value)?;
    }
    let gone = buffer.pointer();
    drop(buffer);
    expect_error(pointer_facts(context, gone), GpuError::is_invalid_value)?;
    Ok(format!("{real:?}, {moved:?}, {host:?}"))
}

fn out_of_memory(context: &Context) -> Outcome {
    let (_, total) = context.memory().map_err(words)?;
    let error = expect_error(context.allocate(total + (1 << 30)), GpuError::is_out_of_memory)?;
    ensure(!error.is_sticky() && !error.is_unavailable(), || error.to_string())?;
    context.allocate(1 << 20).map_err(words)?;
    Ok(error.to_string())
}

fn ballast(context: &Context) -> Outcome {
    const LEAVE: usize = 1 << 30;
    let (before, _) = context.memory().map_err(words)?;
    let held = Ballast::fill_until(context, LEAVE).map_err(words)?;
    let (left, _) = context.memory().map_err(words)?;
    ensure(left.abs_diff(LEAVE) <= 8 << 20, || format!("left {left}"))?;
    expect_error(context.allocate(LEAVE + (64 << 20)), GpuError::is_out_of_memory)?;
    let bytes = held.bytes();
    drop(held);
    let (after, _) = context.memory().map_err(words)?;
    ensure(after + (64 << 20) >= before, || format!("free {before} before, {after} after"))?;
    Ok(format!("held {} MiB, left {} MiB", bytes >> 20, left >> 20))
}

fn blas(context: &Context) -> Outcome {
    let mut blas = Blas::new(context).map_err(words)?;
    let (m, k, n) = (37, 53, 29);
    let values = |seed, count: usize| -> Vec<f32> {
        let bytes = pattern(seed, 4 * count);
        let whole = bytes.as_chunks().0.iter().map(|value| u32::from_le_bytes(*value));
        whole.map(|value| value as f32 / u32::MAX as f32 - 0.5).collect()
    };
    let (a, b) = (values(20, m * k), values(21, k * n));
    let bytes = |matrix: &[f32]| -> Vec<u8> {
        matrix.iter().flat_map(|value| value.to_le_bytes()).collect()
    };
    // Both in one buffer, as weights lie, each off any alignment but its own.
    let buffer = context.allocate(4 * (1 + a.len() + 1 + b.len())).map_err(words)?;
    let b_offset = 4 * (a.len() + 2);
    buffer.write(4, &bytes(&a)).map_err(words)?;
    buffer.write(b_offset, &bytes(&b)).map_err(words)?;
    let a_range = buffer.range(4, 4 * a.len()).map_err(words)?;
    let b_range = buffer.range(b_offset, 4 * b.len()).map_err(words)?;
    let c = blas.multiply(a_range, b_range, (m, k, n)).map_err(words)?;
    ensure(c.len() == m * n, || format!("{} values", c.len()))?;
    // The classical bound for a sum of k products in F32, whatever their order.
    let unit = f64::from(f32::EPSILON) / 2.0;
    let gamma = k as f64 * unit / (1.0 - k as f64 * unit);
    let mut worst: f64 = 0.0;
    for row in 0..m {
        for column in 0..n {
            let products = (0..k).map(|i| f64::from(a[row * k + i]) * f64::from(b[i * n + column]));
            let (exact, scale) = products
                .fold((0.0, 0.0), |(sum, size), product| (sum + product, size + product.abs()));
            let error = (f64::from(c[row * n + column]) - exact).abs();
            worst = worst.max(error / (gamma * scale));
        }
    }
    ensure(worst <= 1.0, || format!("error is {worst:.3} of the bound"))?;
    let refused = |error: &GpuError| error.name == "REFUSED";
    expect_error(blas.multiply(a_range, b_range, (m, k, n + 1)), refused)?;
    expect_error(blas.multiply(a_range, b_range, (0, k, n)), refused)?;
    let crooked = buffer.range(5, 4 * a.len()).map_err(words)?;
    expect_error(blas.multiply(crooked, b_range, (m, k, n)), refused)?;
    Ok(format!("worst error {worst:.3} of the F32 bound"))
}

fn nvml_agrees(context: &Context) -> Outcome {
    let ordinal = context.ordinal();
    let version = nvml::driver_version().map_err(words)?;
    let uuid = nvml::gpu_uuid(ordinal).map_err(words)?;
    ensure(Ok(&uuid) == context.uuid().as_ref(), || format!("uuid: {uuid}"))?;
    let name = nvml::device_name(ordinal).map_err(words)?;
    ensure(Ok(&name) == context.name().as_ref(), || format!("name: {name}"))?;
    let own = || nvml::process_memory(std::process::id(), ordinal).map_err(words);
    let Some(before) = own()? else {
        return Err(format!("process {} is not listed", std::process::id()));
    };
    let buffer = context.allocate(512 << 20).map_err(words)?;
    let during = own()?.ok_or("no longer listed")?;
    let used = nvml::device_used_bytes(ordinal).map_err(words)?;
    ensure(during >= before + (500 << 20), || format!("{before} before, {during} with 512 MiB"))?;
    ensure(used >= during, || format!("device uses {used}, process {during}"))?;
    drop(buffer);
    let stranger = nvml::process_memory(u32::MAX, ordinal).map_err(words)?;
    ensure(stranger.is_none(), || format!("stranger: {stranger:?}"))?;
    Ok(format!("driver {version}, process at {} MiB, then {} MiB", before >> 20, during >> 20))
}

fn limits(context: &Context) -> Outcome {
    let start = Instant::now();
    let limit = copy_limit(context).map_err(words)?;
    let seconds = start.elapsed().as_secs_f64();
    let speeds = [limit.h2d_pinned_gbps, limit.h2d_pageable_gbps, limit.d2h_pinned_gbps];
    let sane = speeds.iter().all(|speed| speed.is_finite() && *speed > 0.0);
    ensure(sane, || format!("{limit:?}"))?;
    Ok(format!("{limit:.1?} in {seconds:.2} s"))
}

/// Bytes without any period that a slot or a page could hide.
fn pattern(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut filled = vec![0; bytes];
    for piece in filled.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        piece.copy_from_slice(&state.to_le_bytes()[..piece.len()]);
    }
    filled
}

fn first_difference(seen: &[u8], wanted: &[u8]) -> String {
    match seen.iter().zip(wanted).position(|(seen, wanted)| seen != wanted) {
        Some(at) => {
            format!("byte {at} of {} is {:#x}, not {:#x}", wanted.len(), seen[at], wanted[at])
        }
        None => format!("{} bytes in place of {}", seen.len(), wanted.len()),
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The error that a call must end in.
fn expect_error<T>(
    result: Result<T, GpuError>,
    is_right: impl FnOnce(&GpuError) -> bool,
) -> Result<GpuError, String> {
    match result {
        Ok(_) => Err("a call succeeded that must fail".into()),
        Err(error) if is_right(&error) => Ok(error),
        Err(error) => Err(format!("the wrong error: {error}")),
    }
}

fn words(error: impl Display) -> String {
    error.to_string()
}
