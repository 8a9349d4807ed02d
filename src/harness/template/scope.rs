//! Variables.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::value::Value;

/// The variables of a block, over those of the blocks around it.
#[derive(Default)]
pub struct Scope {
    held: RefCell<HashMap<String, Value>>,
    around: Option<Rc<Scope>>,
}

impl Scope {
    /// A block inside of another.
    pub fn inside(around: &Rc<Scope>) -> Rc<Scope> {
        Rc::new(Scope { held: RefCell::default(), around: Some(Rc::clone(around)) })
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<Value> {
        let held = self.held.borrow().get(name).cloned();
        held.or_else(|| self.around.as_ref().and_then(|around| around.get(name)))
    }

    /// Sets a variable of this block.
    pub fn set(&self, name: &str, value: Value) {
        self.held.borrow_mut().insert(name.to_owned(), value);
    }

    /// Forgets all variables, so that macros and the block that holds them are freed.
    pub fn clear(&self) {
        self.held.borrow_mut().clear();
    }
}
