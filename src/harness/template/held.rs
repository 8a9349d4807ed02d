//! What a template pays for values that hold others: they are counted when they are made, and whatever looks
//! into them pays for all that they hold.

use super::fault::{Fault, Result};
use super::machine::Machine;
use super::value::Value;

/// Deepest nesting of values, and most values that one holds with those within them. One list may stand in
/// another many times, and what compares or frees it meets it as often.
const NESTED: usize = 100;
const HELD: usize = 1 << 20;

/// What a value in a list takes, in bytes.
pub const ITEM: usize = size_of::<Value>();
/// What a look at a value costs that is no text.
const LOOK: usize = 8;

impl Machine {
    /// Pays for a look at a value and all that it holds.
    pub fn look_into(&self, value: &Value) -> Result<()> {
        self.walk(value, 0, &mut 0, true)
    }

    /// Takes a value that a step has made, if it is neither too deep nor too large.
    pub fn made(&self, value: Value) -> Result<Value> {
        match &value {
            Value::Sequence(..) | Value::Map(_) | Value::Once(_) => {
                self.walk(&value, 0, &mut 0, false)?;
            }
            _ => {}
        }
        Ok(value)
    }

    fn walk(&self, value: &Value, depth: usize, held: &mut usize, texts: bool) -> Result<()> {
        *held += 1;
        if depth > NESTED || *held > HELD {
            return Err(Fault::Limit("depth"));
        }
        self.look(value.as_text().filter(|_| texts).map_or(LOOK, str::len))?;
        match value {
            Value::Sequence(_, items) => {
                items.iter().try_for_each(|item| self.walk(item, depth + 1, held, texts))
            }
            Value::Once(items) => {
                items.borrow().iter().try_for_each(|item| self.walk(item, depth + 1, held, texts))
            }
            Value::Map(map) => map.0.iter().try_for_each(|(key, value)| {
                self.walk(key, depth + 1, held, texts)?;
                self.walk(value, depth + 1, held, texts)
            }),
            _ => Ok(()),
        }
    }
}
