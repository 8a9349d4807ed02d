//! `weighbridge version`: which build this is, and which versions of the protocol and the files it
//! has.

use std::io::Write;
use std::sync::LazyLock;

use clap::Args;
use serde_json::{Value, json};

use super::fault::print;
use super::{CommandError, exit};
use crate::contract::PROTOCOL;
use crate::harness::evidence::build;
use crate::harness::record::{FORMAT, store};

/// What the program says of the commit if it was built outside of a checkout.
const UNKNOWN: &str = "unknown";

/// Show version, commit, protocol and report format.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

static LONG: LazyLock<String> = LazyLock::new(|| {
    let commit = match build::COMMIT {
        UNKNOWN => "unknown: built outside of a checkout",
        commit => commit,
    };
    format!(
        "{}\ncommit   {commit}\nprotocol {PROTOCOL}\nreport   {}",
        env!("CARGO_PKG_VERSION"),
        store::REPORT_FORMAT
    )
});

/// What `--version` prints after the program's name.
pub fn long() -> &'static str {
    &LONG
}

/// Prints the versions.
///
/// # Errors
/// If stdout cannot be written.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let text = match arguments.json {
        true => format!("{}\n", value()),
        false => format!("weighbridge {}\n", long()),
    };
    print(out, &text)?;
    Ok(exit::CORROBORATED)
}

fn value() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": (build::COMMIT != UNKNOWN).then_some(build::COMMIT),
        "protocol": PROTOCOL,
        "report": store::REPORT_FORMAT,
        "record": FORMAT,
    })
}
