//! Bounds what one rendering may write, hold and look at, so that a template of strangers can neither
//! take all memory nor run for ever (R26).
//!
//! Fuel counts the steps of the template library. One step can make a text of any length, or compare
//! lists that hold each other, so every step also pays here: before it makes something, by the bytes
//! that it makes, and before it looks at something, by the size of that.

use std::cell::Cell;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::lazy::is_namespace;
use super::tokens::unsupported;

/// Longest text or list that one step may make, in bytes.
const ONE: usize = 16 << 20;

/// Longest text of a list or dict, in bytes.
pub const SHOWN: usize = 4 << 20;

/// Most bytes that all steps of one rendering may make together.
const ALL: usize = 384 << 20;

/// Most bytes that all steps may look at together.
const LOOKED_AT: usize = 1 << 30;

/// Most lists and dicts that hold lists or dicts. It bounds how deep they nest.
const NESTED: usize = 50_000;

/// Most values that a list holds, with those in its lists. One list may stand in another many times, and
/// whatever compares or prints it meets it as often.
const HELD: usize = 1 << 20;

/// What an item of a list counts.
pub const ITEM_BYTES: usize = 32;

/// What an item counts that is a list or a pair, in bytes.
pub const PAIR_BYTES: usize = 128;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(ALL) };
    static LOOKS: Cell<usize> = const { Cell::new(LOOKED_AT) };
    static NESTINGS: Cell<usize> = const { Cell::new(NESTED) };
}

/// Begins a rendering.
pub fn begin() {
    LEFT.set(ALL);
    LOOKS.set(LOOKED_AT);
    NESTINGS.set(NESTED);
}

/// Whether a value holds others.
fn is_group(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable)
}

/// Counts a list or dict with these items.
///
/// # Errors
/// If it is one too much, or holds too many values.
pub fn nest<'v>(items: impl Iterator<Item = &'v Value>) -> Result<(), Error> {
    let mut held = 0;
    let mut nested = false;
    for item in items.filter(|item| is_group(item)) {
        nested = true;
        walk(item, &mut held, false)?;
    }
    if nested {
        NESTINGS.set(NESTINGS.get().checked_sub(1).ok_or_else(exceeded)?);
    }
    Ok(())
}

/// Counts a list that was made from other lists.
///
/// # Errors
/// As above.
pub fn nested(list: Value) -> Result<Value, Error> {
    look(&list)?;
    let items: Vec<Value> = match list.kind() {
        ValueKind::Seq => list.try_iter()?.filter(is_group).collect(),
        _ => Vec::new(),
    };
    nest(items.iter())?;
    Ok(list)
}

/// Counts all values that a value holds, and pays for a look at them, and into their texts or not.
fn walk(value: &Value, held: &mut usize, texts: bool) -> Result<(), Error> {
    *held += 1;
    if *held > HELD {
        return Err(exceeded());
    }
    pay(value.as_str().filter(|_| texts).map_or(ITEM_BYTES, str::len))?;
    // A generator is read once, and a namespace is compared by its place.
    let map = value.kind() == ValueKind::Map;
    if !map && value.kind() != ValueKind::Seq || is_namespace(value) {
        return Ok(());
    }
    for item in value.try_iter()? {
        walk(&item, held, texts)?;
        if map {
            walk(&value.get_item(&item).unwrap_or_default(), held, texts)?;
        }
    }
    Ok(())
}

/// Pays for a look at a value and all that it holds.
///
/// # Errors
/// If it is too much.
pub fn look_into(value: &Value) -> Result<(), Error> {
    walk(value, &mut 0, true)
}

/// Pays for a look at a value: at its text, or at its items one by one.
///
/// # Errors
/// If it is too much.
pub fn look(value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        return pay(text.len());
    }
    pay(value.len().unwrap_or(1).saturating_mul(ITEM_BYTES))?;
    if value.kind() == ValueKind::Map && !is_namespace(value) {
        for key in value.try_iter()? {
            pay(key.as_str().map_or(0, str::len))?;
        }
    }
    Ok(())
}

/// Pays for a look at so many bytes.
///
/// # Errors
/// If it is too much.
pub fn pay(bytes: usize) -> Result<(), Error> {
    LOOKS.set(LOOKS.get().checked_sub(bytes).ok_or_else(exceeded)?);
    Ok(())
}

/// The error for a template that takes too much memory.
pub fn exceeded() -> Error {
    let (one, all, looks) = (ONE >> 20, ALL >> 20, LOOKED_AT >> 20);
    let what = format!(
        "texts and lists above {one} MiB, or {all} MiB in all, or looks at more than {looks} MiB, or \
         {NESTED} lists in each other, or {HELD} values in one"
    );
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

/// Counts the items that a step is about to take from a value one by one. Every letter of a text becomes
/// one.
///
/// # Errors
/// If it is too much, or a namespace.
pub fn take_apart(value: &Value) -> Result<(), Error> {
    if is_namespace(value) {
        return Err(unsupported("the items of a namespace, a loop or a macro"));
    }
    look(value)?;
    match value.as_str() {
        Some(text) => spend_times(2 * ITEM_BYTES, text.chars().count()),
        None => spend_times(ITEM_BYTES, value.len().unwrap_or(0)),
    }
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
