//! Prints the error of products with BF16 weights against float64, by the number of terms (K) and of
//! rows (M), for every way in which this program can compute them. Needs a GPU.
//!
//! An error is divided by the square root of the sum of the squared terms, which is the size of a sum
//! of terms with random signs. An F32 value is exact to 6e-8 of its size.

use std::process::ExitCode;

use half::bf16;
use weighbridge::gpu::{
    ActivationParams, Context, DeviceBuffer, DeviceWeight, Element, ForwardKernels, GpuError,
    Precision, Runner,
};

/// K, the terms of a product.
const TERMS: [usize; 4] = [64, 1536, 4096, 8960];
/// M, the rows of x.
const ROWS: [usize; 4] = [1, 16, 128, 1000];
const OUTPUTS: usize = 256;
/// Sums of each product that are compared.
const COMPARED: usize = 2000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("not measured: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), GpuError> {
    let context = Context::open(0)?;
    let kernels = ForwardKernels::new(&context, Precision::Exact)?;
    // Only some devices round activations.
    let rounding = match ForwardKernels::serves(&context, Precision::Bf16)? {
        true => Some(ForwardKernels::new(&context, Precision::Bf16)?),
        false => None,
    };
    let (major, minor) = context.compute_capability()?;
    println!("device      {}, compute capability {major}.{minor}", context.name()?);
    println!("error       |y - y(F64)| / sqrt(sum of squared terms): largest, mean");
    println!("weights     BF16, uniform in [-0.04, 0.04]; x F32, uniform in [-1.4, 2.0]");
    for terms in TERMS {
        let weights = values(1, OUTPUTS * terms, 0.08);
        let weights: Vec<f32> =
            weights.iter().map(|value| bf16::from_f32(value - 0.04).to_f32()).collect();
        let narrow: Vec<u8> =
            weights.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect();
        let wide: Vec<u8> = weights.iter().flat_map(|value| value.to_le_bytes()).collect();
        for rows in ROWS {
            let x: Vec<f32> =
                values(2, rows * terms, 3.4).iter().map(|value| value - 1.4).collect();
            let rounding = rounding
                .iter()
                .map(|kernels| ("x rounded to BF16", kernels.clone(), Element::BF16, &*narrow));
            let ways: [(&str, ForwardKernels, Element, &[u8]); 3] = [
                ("BF16 weights, this device", kernels.clone(), Element::BF16, &narrow),
                ("BF16 weights, other devices", kernels.common(), Element::BF16, &narrow),
                ("the same weights in F32", kernels.clone(), Element::F32, &wide),
            ];
            for (name, kernels, element, bytes) in ways.into_iter().chain(rounding) {
                let memory = context.allocate(bytes.len())?;
                memory.write(0, bytes)?;
                let found = product(&kernels, &memory, element, &x, (rows, terms))?;
                let (largest, mean) = errors(&found, &x, &weights, (rows, terms));
                println!("K {terms:>5}  M {rows:>5}  {name:<28}  {largest:.1e}  {mean:.1e}");
            }
            let chain = |row: &[f32], weight: &[f32]| {
                row.iter().zip(weight).fold(0f32, |sum, (x, w)| x.mul_add(*w, sum))
            };
            let found: Vec<f32> = (0..rows * OUTPUTS)
                .map(|at| {
                    chain(
                        &x[at / OUTPUTS * terms..][..terms],
                        &weights[at % OUTPUTS * terms..][..terms],
                    )
                })
                .collect();
            let (largest, mean) = errors(&found, &x, &weights, (rows, terms));
            println!(
                "K {terms:>5}  M {rows:>5}  {:<28}  {largest:.1e}  {mean:.1e}",
                "F32, one sum, host"
            );
        }
    }
    Ok(())
}

fn product(
    kernels: &ForwardKernels,
    memory: &DeviceBuffer,
    element: Element,
    x: &[f32],
    (rows, terms): (usize, usize),
) -> Result<Vec<f32>, GpuError> {
    let mut runner = Runner::new(kernels)?;
    let x = runner.upload(x)?;
    let out = runner.floats(rows * OUTPUTS)?;
    let weight = DeviceWeight { memory, offset: 0, element, rows: OUTPUTS, columns: terms };
    runner.linear(x, rows, &[(weight, None)], ActivationParams::Plain, out)?;
    let mut found = vec![0f32; rows * OUTPUTS];
    runner.fetch(out, &mut found)?;
    Ok(found)
}

/// The largest and the mean error.
fn errors(found: &[f32], x: &[f32], weights: &[f32], (rows, terms): (usize, usize)) -> (f64, f64) {
    let step = (rows * OUTPUTS).div_ceil(COMPARED).max(1) | 1;
    let (mut largest, mut all, mut count) = (0f64, 0f64, 0u32);
    for at in (0..rows * OUTPUTS).step_by(step) {
        let row = &x[at / OUTPUTS * terms..][..terms];
        let weight = &weights[at % OUTPUTS * terms..][..terms];
        let products = row.iter().zip(weight).map(|(x, w)| f64::from(*x) * f64::from(*w));
        let (sum, squares) =
            products.fold((0f64, 0f64), |(sum, squares), term| (sum + term, squares + term * term));
        let error = (f64::from(found[at]) - sum).abs() / squares.sqrt();
        largest = largest.max(error);
        all += error;
        count += 1;
    }
    (largest, all / f64::from(count))
}

/// Values from 0 to `range`, from a seed.
fn values(seed: u64, count: usize, range: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count).map(|_| (next() >> 40) as f32 / (1u32 << 24) as f32 * range).collect()
}
