//! Python's iterables that are no lists: `range`, views of a dict, and generators, which give their
//! items once.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, Value};

/// Most numbers of a `range`, as in Jinja2's sandbox.
const LONGEST_RANGE: i64 = 100_000;

/// A `range`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    start: i64,
    step: i64,
    count: usize,
    stop: i64,
}

impl Range {
    /// `range(start, stop, step)`.
    ///
    /// # Errors
    /// If the step is 0, or it has too many numbers.
    pub fn new(first: i64, second: Option<i64>, step: Option<i64>) -> Result<Range, Error> {
        let (start, stop) = second.map_or((0, first), |stop| (first, stop));
        let step = step.unwrap_or(1);
        let invalid = |why: &str| Error::new(ErrorKind::InvalidOperation, why.to_owned());
        let far = i128::from(stop) - i128::from(start);
        let wide = i128::from(step);
        if wide == 0 {
            return Err(invalid("a range whose step is 0"));
        }
        let count = ((far + wide - wide.signum()) / wide).max(0);
        match usize::try_from(count).ok().filter(|_| count <= i128::from(LONGEST_RANGE)) {
            Some(count) => Ok(Range { start, step, count, stop }),
            None => Err(invalid("a range of more than 100000 numbers")),
        }
    }

    /// The number at a place.
    fn number(&self, at: usize) -> i64 {
        self.start + self.step * at as i64
    }

    /// The part from `first` on, of `count` numbers in steps of `step` places.
    pub fn part(&self, first: i64, end: i64, step: i64, count: usize) -> Range {
        let number = |place: i64| self.start + self.step * place;
        Range { start: number(first), stop: number(end), step: self.step * step, count }
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Value::from(match key.as_str() {
            Some("start") => self.start,
            Some("stop") => self.stop,
            Some("step") => self.step,
            Some(_) => return None,
            None => {
                let at = usize::try_from(key.clone()).ok().filter(|at| *at < self.count)?;
                self.number(at)
            }
        }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.count)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            1 => write!(f, "range({}, {})", self.start, self.stop),
            step => write!(f, "range({}, {}, {step})", self.start, self.stop),
        }
    }
}

/// `dict.keys()` and its kin, which Python prints with their name.
#[derive(Debug)]
pub struct View {
    /// The name.
    pub name: &'static str,
    /// The items.
    pub items: Vec<Value>,
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }
}

/// A generator.
#[derive(Debug)]
pub struct Generator(Mutex<VecDeque<Value>>);

impl Generator {
    /// A generator of these items.
    pub fn of(items: Vec<Value>) -> Value {
        Value::from_object(Generator(Mutex::new(items.into())))
    }

    /// The next item.
    pub fn next(&self) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Object for Generator {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let items = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Enumerator::Values(items.into())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        None
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// A group of `groupby`: a tuple whose two items have names.
#[derive(Debug)]
pub struct Group(pub [Value; 2]);

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = match key.as_str() {
            Some("grouper") => 0,
            Some("list") => 1,
            Some(_) => return None,
            None => usize::try_from(key.clone()).ok()?,
        };
        self.0.get(at).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }
}

/// Whether a value is a namespace, a loop or a macro, which `minijinja` shows as dicts.
pub fn is_namespace(value: &Value) -> bool {
    is_of(value, &["Namespace", "Loop", "Macro"])
}

/// Whether a value is of a type with one of these names.
pub fn is_of(value: &Value, names: &[&str]) -> bool {
    let ours = |name: &str| names.iter().any(|one| name.ends_with(one));
    value.as_object().is_some_and(|object| ours(object.type_name()))
}
