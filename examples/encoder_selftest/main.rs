//! Tests every operation of a model's forward pass on a real device against float64, on random
//! shapes: odd sizes, one row, long rows. The exit code is 1 if any failed or if there is no GPU.
//! Where the device has kernels that round activations to BF16, they are tested in the same way.
//!
//! `encoder_selftest N` tests N shapes of each operation, by default 60; use a small N with
//! `compute-sanitizer`.

mod chain;
mod data;
mod layers;
mod mixing;
mod parts;
mod silence;
mod turn;
mod wide;

use std::process::ExitCode;

use data::Random;
use weighbridge::gpu::{Context, ForwardKernels, GpuError, Precision, Runner};

/// What a check found, or why it failed.
type Outcome = Result<(), String>;

/// One operation, tested on one random shape.
type Check = fn(&mut Runner, &mut Random) -> Outcome;

const CHECKS: &[(&str, Check)] = &[
    ("what nobody wrote is NaN", parts::spoilt),
    ("gather", parts::gather),
    ("norm", parts::norm),
    ("gated", parts::gated),
    ("add", parts::add),
    ("pool", parts::pool),
    ("splade", parts::splade),
    ("normalize", parts::normalize),
    ("blank", parts::blank),
    ("linear, few rows", layers::few),
    ("linear, few rows and many outputs", layers::few_wide),
    ("linear, many rows", layers::many),
    ("linear, BF16 by tensor cores", layers::split),
    ("linear, BF16 in pieces one by one", layers::split_in_turn),
    ("linear, BF16 of few rows and many terms", layers::split_long),
    ("linear, BF16 of all magnitudes", wide::linear),
    ("norm, gate and layer in a row", chain::chain),
    ("attend and layer in a row", chain::attention),
    ("rotate", mixing::rotate),
    ("attend", mixing::attend),
    ("norm heads", turn::norm_heads),
    ("keep columns", turn::keep),
    ("linear, sides exchanged", turn::linear_turned),
    ("repeat as a graph", layers::repeats),
    ("refusals", layers::refusals),
    ("a NaN passes attention", silence::attend),
    ("a NaN passes layers", silence::linear),
    ("a weight that is NaN passes a linear layer", wide::not_a_number),
    ("a NaN passes norms", silence::norms),
    ("a NaN passes pooling", silence::splade),
];

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(60);
    match all(count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("FAIL {why}");
            ExitCode::FAILURE
        }
    }
}

fn all(count: u32) -> Outcome {
    let context = Context::open(0).map_err(words)?;
    let start = std::time::Instant::now();
    let kernels = ForwardKernels::new(&context, Precision::Exact).map_err(words)?;
    println!("compiled in {:.2} s", start.elapsed().as_secs_f64());
    // Devices of other architectures compute without some of the kernels.
    let of_others = kernels.common();
    let mut failed = test(&kernels, "", CHECKS, count)?;
    let some: Vec<_> = CHECKS
        .iter()
        .filter(|(name, _)| ["linear", "attend"].iter().any(|part| name.contains(part)))
        .copied()
        .collect();
    failed += test(&of_others, ", without the kernels of one architecture", &some, count)?;
    if ForwardKernels::serves(&context, Precision::Bf16).map_err(words)? {
        let rounding = ForwardKernels::new(&context, Precision::Bf16).map_err(words)?;
        failed += test(&rounding, ", rounded to BF16", CHECKS, count)?;
    } else {
        println!("not tested: kernels that round to BF16, which this device does not have");
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} operations")),
    }
}

/// Tests operations; returns how many failed.
fn test(
    kernels: &ForwardKernels,
    how: &str,
    checks: &[(&str, Check)],
    count: u32,
) -> Result<usize, String> {
    let mut runner = Runner::new(kernels).map_err(words)?;
    let mut failed = 0;
    for (name, check) in checks {
        let mut random = Random::new(name.len() as u64 * 77 + 5);
        let wrong: Vec<String> = (0..count)
            .filter_map(|_| {
                let ready = runner.reset().and_then(|()| runner.spoil()).map_err(words);
                ready.and_then(|()| check(&mut runner, &mut random)).err()
            })
            .collect();
        match wrong.first() {
            None => println!("ok {name}{how}: {count} shapes"),
            Some(first) => {
                failed += 1;
                println!("FAIL {name}{how}: {} of {count}, first: {first}", wrong.len());
            }
        }
    }
    Ok(failed)
}

fn words(error: GpuError) -> String {
    error.to_string()
}
