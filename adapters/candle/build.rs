//! Records the release of candle in the program, as Cargo.lock has it.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=Cargo.lock");
    let lock = fs::read_to_string("Cargo.lock")?;
    let mut lines = lock.lines().skip_while(|line| *line != "name = \"candle-transformers\"");
    let version = lines.nth(1).and_then(|line| line.split('"').nth(1));
    let version = version.ok_or_else(|| io::Error::other("candle-transformers is not locked"))?;
    let into = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(into.join("candle-version"), version)
}
