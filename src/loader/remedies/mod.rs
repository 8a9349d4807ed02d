//! Every cause of an error of the reference loader, with its code and its remedy, in one table.
//!
//! An error of the loader cannot be made without a row: it takes its code and its remedy from it, so
//! that a cause never goes without a remedy and no remedy is written anywhere else. A remedy is
//! shown by several commands and to clients of the protocol; [`Shown`] says by which, and a test
//! holds every option and command that a remedy names to the command line.

pub mod config;
pub mod device_and_memory;
pub mod files;
pub mod formats;
pub mod gates_and_golden;
pub mod header;
pub mod index_and_seal;
pub mod input_and_output;
pub mod names;
pub mod parallel;
pub mod registry;
pub mod request;
mod row;
pub mod tokenizer_and_template;

use crate::contract::Code;

pub use self::row::{Cause, Remedy, Shown};

/// The table, area by area.
const AREAS: [&[Remedy]; 13] = [
    files::ROWS,
    formats::ROWS,
    header::ROWS,
    index_and_seal::ROWS,
    config::ROWS,
    names::ROWS,
    tokenizer_and_template::ROWS,
    input_and_output::ROWS,
    gates_and_golden::ROWS,
    device_and_memory::ROWS,
    request::ROWS,
    parallel::ROWS,
    registry::ROWS,
];

/// The whole table.
pub fn all() -> impl Iterator<Item = &'static Remedy> {
    AREAS.into_iter().flatten()
}

/// The causes of a code.
pub fn of(code: Code) -> impl Iterator<Item = &'static Remedy> {
    all().filter(move |row| row.code == code)
}

#[cfg(test)]
mod tests;
