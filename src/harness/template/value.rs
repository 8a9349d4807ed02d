//! Values of templates, as Python has them. Maps keep their order.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::fault::{Result, failed};
use super::machine::Machine;

/// A value.
#[derive(Clone)]
pub enum Value {
    /// Not there; with the message of an error that its use gives.
    Undefined(Rc<str>),
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer. Python's have no limit; results beyond this type are refused.
    Int(i64),
    /// A float.
    Float(f64),
    /// A text.
    Text(Text),
    /// A sequence of known length.
    Sequence(Kind, Rc<Vec<Value>>),
    /// What is left of a generator. It can be read once.
    Once(Rc<RefCell<VecDeque<Value>>>),
    /// A dict.
    Map(Rc<Map>),
    /// `namespace(...)`: the only value that a template can change.
    Namespace(Rc<RefCell<Map>>),
    /// Functions, macros, methods and `loop`.
    Object(Rc<dyn Object>),
}

/// A text, and whether it is `Markup`: then what is joined to it is escaped.
#[derive(Clone, Debug)]
pub struct Text {
    /// The characters.
    pub text: Rc<str>,
    /// Whether it is `Markup`.
    pub safe: bool,
}

/// Kinds of sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `[a, b]`.
    List,
    /// `(a, b)`.
    Tuple,
    /// `range(...)`.
    Range,
    /// `dict.keys()`.
    Keys,
    /// `dict.values()`.
    Values,
    /// `dict.items()`.
    Items,
}

/// A dict: pairs in the order of insertion.
#[derive(Clone, Default)]
pub struct Map(pub Vec<(Value, Value)>);

/// The arguments of a call.
#[derive(Clone, Default)]
pub struct Arguments {
    /// By place.
    pub positional: Vec<Value>,
    /// By name.
    pub named: Vec<(String, Value)>,
}

/// Something with attributes or a call.
pub trait Object {
    /// Its name, for messages.
    fn name(&self) -> String;
    /// An attribute.
    fn attribute(&self, _name: &str) -> Result<Option<Value>> {
        Ok(None)
    }
    /// Calls it.
    fn call(&self, arguments: Arguments, machine: &Machine) -> Result<Value>;
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<Rc<str>>) -> Value {
        Value::Text(Text { text: text.into(), safe: false })
    }

    /// `Markup`.
    pub fn safe(text: impl Into<Rc<str>>) -> Value {
        Value::Text(Text { text: text.into(), safe: true })
    }

    /// A list.
    pub fn list(items: Vec<Value>) -> Value {
        Value::Sequence(Kind::List, Rc::new(items))
    }

    /// A tuple.
    pub fn tuple(items: Vec<Value>) -> Value {
        Value::Sequence(Kind::Tuple, Rc::new(items))
    }

    /// A dict.
    pub fn map(map: Map) -> Value {
        Value::Map(Rc::new(map))
    }

    /// A generator.
    pub fn once(items: Vec<Value>) -> Value {
        Value::Once(Rc::new(RefCell::new(items.into())))
    }

    /// A value that is not there.
    pub fn undefined(why: impl Into<Rc<str>>) -> Value {
        Value::Undefined(why.into())
    }

    /// The characters of a text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// The number that an integer or a bool is.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            Value::Bool(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// The number that a number is.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Value::Float(value) => Some(*value),
            other => other.as_int().map(|value| value as f64),
        }
    }

    /// Python's `bool()`.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !text.text.is_empty(),
            Value::Sequence(_, items) => !items.is_empty(),
            Value::Map(map) => !map.0.is_empty(),
            Value::Once(_) | Value::Namespace(_) | Value::Object(_) => true,
        }
    }

    /// Python's name of its type.
    pub fn kind(&self) -> String {
        match self {
            Value::Undefined(_) => "Undefined".to_owned(),
            Value::None => "NoneType".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Int(_) => "int".to_owned(),
            Value::Float(_) => "float".to_owned(),
            Value::Text(text) => if text.safe { "Markup" } else { "str" }.to_owned(),
            Value::Sequence(kind, _) => match kind {
                Kind::List => "list",
                Kind::Tuple => "tuple",
                Kind::Range => "range",
                Kind::Keys => "dict_keys",
                Kind::Values => "dict_values",
                Kind::Items => "dict_items",
            }
            .to_owned(),
            Value::Once(_) => "generator".to_owned(),
            Value::Map(_) => "dict".to_owned(),
            Value::Namespace(_) => "Namespace".to_owned(),
            Value::Object(object) => object.name(),
        }
    }

    /// Refuses what can be no key of a dict.
    pub fn hashable(&self) -> Result<()> {
        match self {
            Value::Sequence(Kind::List | Kind::Keys | Kind::Items, _) | Value::Map(_) => {
                failed(format!("unhashable type: '{}'", self.kind()))
            }
            Value::Sequence(Kind::Tuple, items) => items.iter().try_for_each(Value::hashable),
            _ => Ok(()),
        }
    }

    /// Python's `==`.
    pub fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
            (Value::Text(one), Value::Text(two)) => one.text == two.text,
            // Python compares no values of a dict with others.
            (Value::Sequence(Kind::Values, one), Value::Sequence(Kind::Values, two)) => {
                Rc::ptr_eq(one, two)
            }
            // The keys of a dict are a set.
            (Value::Sequence(Kind::Keys, one), Value::Sequence(Kind::Keys, two))
            | (Value::Sequence(Kind::Items, one), Value::Sequence(Kind::Items, two)) => {
                let held = |value: &Value| two.iter().any(|other| other.equals(value));
                one.len() == two.len() && one.iter().all(held)
            }
            (Value::Sequence(a, one), Value::Sequence(b, two)) => {
                a == b
                    && one.len() == two.len()
                    && one.iter().zip(two.iter()).all(|(one, two)| one.equals(two))
            }
            (Value::Map(one), Value::Map(two)) => {
                one.0.len() == two.0.len()
                    && one
                        .0
                        .iter()
                        .all(|(key, value)| two.get(key).is_some_and(|other| other.equals(value)))
            }
            (Value::Namespace(one), Value::Namespace(two)) => Rc::ptr_eq(one, two),
            (Value::Object(one), Value::Object(two)) => Rc::ptr_eq(one, two),
            (Value::Once(one), Value::Once(two)) => Rc::ptr_eq(one, two),
            _ => self.order(other) == Some(Some(Ordering::Equal)),
        }
    }

    /// The order of two numbers: `None` if one is no number, and `Some(None)` if they have no order. Python
    /// compares an integer with a float exactly.
    pub fn order(&self, other: &Value) -> Option<Option<Ordering>> {
        Some(match (self, other) {
            (Value::Float(one), Value::Float(two)) => one.partial_cmp(two),
            (Value::Float(one), two) => exact(two.as_int()?, *one).map(Ordering::reverse),
            (one, Value::Float(two)) => exact(one.as_int()?, *two),
            (one, two) => Some(one.as_int()?.cmp(&two.as_int()?)),
        })
    }
}

/// The order of an integer and a float.
fn exact(one: i64, two: f64) -> Option<Ordering> {
    if two.is_nan() {
        return None;
    }
    // A float beyond the wider integers is beyond `one` all the same.
    let down = two.floor();
    let part = if two > down { Ordering::Less } else { Ordering::Equal };
    Some(i128::from(one).cmp(&(down as i128)).then(part))
}

impl Map {
    /// The value of a key.
    pub fn get(&self, key: &Value) -> Option<&Value> {
        self.0.iter().find(|(held, _)| held.equals(key)).map(|(_, value)| value)
    }

    /// The value of a key that is a text.
    pub fn named(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(held, _)| held.as_text() == Some(name)).map(|(_, value)| value)
    }

    /// Sets the value of a key. A key that is there keeps its place.
    pub fn insert(&mut self, key: Value, value: Value) {
        match self.0.iter_mut().find(|(held, _)| held.equals(&key)) {
            Some((_, held)) => *held = value,
            None => self.0.push((key, value)),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind())
    }
}
