//! Bounds what one rendering may write and hold, so that a template cannot take all memory.

use std::cell::Cell;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

/// Longest text or list that one step may make, in bytes.
const ONE: usize = 16 << 20;

/// Longest text of a list or dict, in bytes.
pub const SHOWN: usize = 4 << 20;

/// Most bytes that all steps of one rendering may make together.
const ALL: usize = 512 << 20;

/// Most lists and dicts that hold lists or dicts. It bounds how deep they nest.
const NESTED: usize = 50_000;

/// What an item of a list counts.
pub const ITEM_BYTES: usize = 32;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(ALL) };
    static NESTINGS: Cell<usize> = const { Cell::new(NESTED) };
}

/// Begins a rendering.
pub fn begin() {
    LEFT.set(ALL);
    NESTINGS.set(NESTED);
}

/// Counts a list or dict with these items.
///
/// # Errors
/// If it is one too much.
pub fn nest<'v>(mut items: impl Iterator<Item = &'v Value>) -> Result<(), Error> {
    let plain = |value: &Value| {
        matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
    };
    if items.any(plain) {
        NESTINGS.set(NESTINGS.get().checked_sub(1).ok_or_else(exceeded)?);
    }
    Ok(())
}

/// The error for a template that takes too much memory.
pub fn exceeded() -> Error {
    let (one, all) = (ONE >> 20, ALL >> 20);
    let what =
        format!("texts and lists above {one} MiB, or {all} MiB in all, or {NESTED} in each other");
    Error::new(ErrorKind::OutOfFuel, what)
}

/// Counts what a step is about to make.
///
/// # Errors
/// If it is too much.
pub fn spend(bytes: usize) -> Result<(), Error> {
    let left = LEFT.get().checked_sub(bytes).filter(|_| bytes <= ONE).ok_or_else(exceeded)?;
    LEFT.set(left);
    Ok(())
}

/// Counts what a step is about to make so many times.
///
/// # Errors
/// If it is too much.
pub fn spend_times(bytes: usize, times: usize) -> Result<(), Error> {
    spend(bytes.checked_mul(times).ok_or_else(exceeded)?)
}

/// Counts a value that a step has made.
///
/// # Errors
/// If it is too much.
pub fn counted(value: Value) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => spend(text.len())?,
        None => spend_times(ITEM_BYTES, value.len().unwrap_or(0))?,
    }
    Ok(value)
}
