//! Memory access from another process, and the driver's attributes of an address.

use std::env;
use std::process::Command;
use std::time::Instant;

use weighbridge::gpu::{Context, GpuError, ManagedBuffer, PinnedBuffer, Uploader, pointer_facts};

use crate::outcome::{Outcome, ensure, expect_error, first_difference, pattern, words};

pub fn ipc(context: &Context) -> Outcome {
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
pub fn child(arguments: &[String]) -> Outcome {
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

pub fn ipc_refuses(context: &Context) -> Outcome {
    let buffer = context.allocate(1 << 21).map_err(words)?;
    let own = expect_error(context.import(buffer.ipc_handle().map_err(words)?, 1 << 21), |_| true)?;
    let made_up = expect_error(context.import([0x5a; 64], 1 << 21), |_| true)?;
    ensure(!own.is_sticky() && !made_up.is_sticky(), || "the context is lost".into())?;
    context.synchronize().map_err(words)?;
    Ok(format!("own handle {}, made-up handle {}", own.name, made_up.name))
}

pub fn pointers(context: &Context) -> Outcome {
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
