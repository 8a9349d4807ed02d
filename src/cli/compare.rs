//! `weighbridge compare`: reports side by side, and what changed.

use std::io::Write;
use std::path::PathBuf;

use super::exit;
use super::fault::{Fault, print};
use crate::harness::record::Record;
use crate::harness::report::Titles;
use crate::harness::report::compare::Comparison;

/// Compare reports by section, and list what changed from the first to each of the others.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The report that the others are held against.
    first: PathBuf,
    /// The others.
    #[arg(required = true)]
    others: Vec<PathBuf>,
    /// Exit with 1 where something regressed, or where something that held is no longer asked for.
    #[arg(long)]
    gate: bool,
    /// Only the table, without what changed from the first to the others: for different loaders.
    #[arg(long)]
    table: bool,
    /// Markdown instead of plain text.
    #[arg(long)]
    markdown: bool,
}

/// Compares and prints.
///
/// # Errors
///
/// [`Fault`] where a file cannot be read.
pub fn run(args: &Args, titles: &Titles, out: &mut dyn Write) -> Result<u8, Fault> {
    let mut records = Vec::with_capacity(1 + args.others.len());
    for path in std::iter::once(&args.first).chain(&args.others) {
        // A table has room for names alone.
        let name = match path.file_stem().filter(|_| args.table) {
            Some(stem) => stem.to_string_lossy().into_owned(),
            None => path.display().to_string(),
        };
        records.push((name, Record::read(path)?));
    }
    let comparison = Comparison::of(&records);
    let text = match (args.table, args.markdown) {
        (true, markdown) => comparison.summary(titles, markdown),
        (false, true) => comparison.markdown(titles),
        (false, false) => comparison.text(titles),
    };
    print(out, &text)?;
    Ok(if args.gate && comparison.regresses() { exit::REFUTED } else { exit::CORROBORATED })
}
