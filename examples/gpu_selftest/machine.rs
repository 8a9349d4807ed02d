//! The device itself: its names, its limits, cuBLAS and NVML.

use weighbridge::gpu::{
    Ballast, Blas, Context, GpuError, device_count, device_uuid, driver_version, nvml,
};

use crate::outcome::{Outcome, ensure, expect_error, pattern, words};

pub fn device(context: &Context) -> Outcome {
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

pub fn out_of_memory(context: &Context) -> Outcome {
    let (_, total) = context.memory().map_err(words)?;
    let error = expect_error(context.allocate(total + (1 << 30)), GpuError::is_out_of_memory)?;
    ensure(!error.is_sticky() && !error.is_unavailable(), || error.to_string())?;
    context.allocate(1 << 20).map_err(words)?;
    Ok(error.to_string())
}

pub fn ballast(context: &Context) -> Outcome {
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

pub fn blas(context: &Context) -> Outcome {
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
    // Both in one buffer, like weights, each with only its own alignment.
    let buffer = context.allocate(4 * (1 + a.len() + 1 + b.len())).map_err(words)?;
    let b_offset = 4 * (a.len() + 2);
    buffer.write(4, &bytes(&a)).map_err(words)?;
    buffer.write(b_offset, &bytes(&b)).map_err(words)?;
    let a_range = buffer.range(4, 4 * a.len()).map_err(words)?;
    let b_range = buffer.range(b_offset, 4 * b.len()).map_err(words)?;
    let c = blas.multiply(a_range, b_range, (m, k, n)).map_err(words)?;
    ensure(c.len() == m * n, || format!("{} values", c.len()))?;
    // The usual bound for a sum of k products in F32, whatever their order.
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

pub fn nvml_agrees(context: &Context) -> Outcome {
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
