//! The strict runner: every case of the full profile as a libtest trial, on a GPU.
//!
//! `cargo test --test conformance` takes libtest's own filters, `--list` and `--exact`. What it does stands
//! in [`weighbridge::cli::trials`].

use std::process::ExitCode;

fn main() -> ExitCode {
    weighbridge::cli::trials::strict()
}
