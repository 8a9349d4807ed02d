//! `loop`, which a loop gives to its body.

use std::cell::RefCell;
use std::rc::Rc;

use super::fault::{Result, failed, unknown};
use super::machine::Machine;
use super::value::{Arguments, Object, Value};

/// The name of the type of `loop`.
pub const LOOP: &str = "LoopContext";

/// A turn of a loop.
pub struct Turn {
    /// All items of the loop.
    pub items: Rc<Vec<Value>>,
    /// The place of this one.
    pub at: usize,
    /// How many loops are around it.
    pub depth: i64,
    /// What `loop.changed` was asked last.
    pub asked: Rc<RefCell<Option<Vec<Value>>>>,
}

impl Object for Turn {
    fn name(&self) -> String {
        LOOP.to_owned()
    }

    fn attribute(&self, name: &str) -> Result<Option<Value>> {
        let (at, length) = (self.at as i64, self.items.len() as i64);
        let other = |at: Option<usize>| {
            let item = at.and_then(|at| self.items.get(at)).cloned();
            item.unwrap_or_else(|| Value::undefined("there is no such item"))
        };
        Ok(Some(match name {
            "index" => Value::Int(at + 1),
            "index0" => Value::Int(at),
            "revindex" => Value::Int(length - at),
            "revindex0" => Value::Int(length - at - 1),
            "first" => Value::Bool(at == 0),
            "last" => Value::Bool(at + 1 == length),
            "length" => Value::Int(length),
            "depth" => Value::Int(self.depth + 1),
            "depth0" => Value::Int(self.depth),
            "previtem" => other(self.at.checked_sub(1)),
            "nextitem" => other(Some(self.at + 1)),
            "cycle" => Value::Object(Rc::new(Cycle(self.at))),
            "changed" => Value::Object(Rc::new(Changed(Rc::clone(&self.asked)))),
            _ => return Ok(None),
        }))
    }

    fn call(&self, _arguments: Arguments, _machine: &Machine) -> Result<Value> {
        unknown("a recursive loop")
    }
}

struct Cycle(usize);

impl Object for Cycle {
    fn name(&self) -> String {
        "method".to_owned()
    }

    fn call(&self, arguments: Arguments, _machine: &Machine) -> Result<Value> {
        let values = arguments.positional;
        match values.get(self.0 % values.len().max(1)) {
            Some(value) => Ok(value.clone()),
            None => failed("no items for cycling given"),
        }
    }
}

struct Changed(Rc<RefCell<Option<Vec<Value>>>>);

impl Object for Changed {
    fn name(&self) -> String {
        "method".to_owned()
    }

    fn call(&self, arguments: Arguments, machine: &Machine) -> Result<Value> {
        let values = arguments.positional;
        values.iter().try_for_each(|value| machine.look_into(value))?;
        let mut asked = self.0.borrow_mut();
        let same = asked.as_ref().is_some_and(|last| {
            last.len() == values.len() && last.iter().zip(&values).all(|(one, two)| one.equals(two))
        });
        if !same {
            *asked = Some(values);
        }
        Ok(Value::Bool(!same))
    }
}
