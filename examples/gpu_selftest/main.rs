//! Tests all of `weighbridge::gpu` on a real device, in about ten seconds.
//!
//! Each check prints `ok` or `FAIL`, its finding, and its time. The exit code is 1 if any failed or
//! if there is no GPU. Some checks deliberately cause errors of the driver. With
//! `compute-sanitizer`, pass `--report-api-errors no` for this reason, and `--target-processes all`
//! for the child process. `gpu_selftest N` uses the device with CUDA ordinal N instead of 0.

mod copies;
mod kernels;
mod machine;
mod outcome;
mod ring;
mod sharing;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use outcome::{Outcome, words};
use weighbridge::gpu::Context;

/// A check by its name.
type Check = (&'static str, fn(&Context) -> Outcome);

const CHECKS: &[Check] = &[
    ("device", machine::device),
    ("allocate, write, read, fill", copies::plain),
    ("ring: odd sizes and offsets", ring::odd_sizes),
    ("ring: small slots in a long queue", ring::wraps),
    ("ring: slots lent to threads", ring::lends),
    ("ring: misuse is refused", ring::refuses),
    ("download: one lane and many", copies::download),
    ("ipc: child process sees the same bytes", sharing::ipc),
    ("ipc: bad handles are errors", sharing::ipc_refuses),
    ("pointer facts", sharing::pointers),
    ("out of memory", machine::out_of_memory),
    ("ballast", machine::ballast),
    ("cublas against f64", machine::blas),
    ("kernels: digests against sha2", kernels::digests),
    ("kernels: counts against plain counting", kernels::scan),
    ("kernels: moves and widening", kernels::moves),
    ("nvml", machine::nvml_agrees),
    ("copy limit", copies::limits),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("import") => sharing::child(&arguments[1..]),
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
