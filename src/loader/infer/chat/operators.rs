//! Python's operators, where `minijinja` has them in another way or without a bound.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, Rest, Tuple, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::budget::{
    ITEM_BYTES, PAIR_BYTES, counted, look, look_into, nest, nested, pay, spend, spend_times,
    take_apart,
};
use super::compare::{
    equal, float, hashable, holds_namespace, impossible, is_list, is_tuple, ordered, whole, within,
};
use super::escape::escaped;
use super::lazy::{View, is_namespace, is_of};
use super::python::written;
use super::tokens::unsupported;
use super::vocabulary::{OF_DICT, OF_LIST, OF_NUMBER, OF_TEXT, has};

/// Operators, and the functions that stand for them.
pub const CALLED: [(&str, &str); 10] = [
    ("+", "__add"),
    ("*", "__multiply"),
    ("%", "__modulo"),
    ("~", "__join"),
    ("==", "__equal"),
    ("!=", "__unequal"),
    ("<", "__less"),
    (">", "__more"),
    ("<=", "__most"),
    (">=", "__least"),
];

/// The function that stands for a dict's braces.
pub const DICT: &str = "__dict";

/// The function that stands for a list's brackets.
pub const LIST: &str = "__list";

/// The function that stands for a tuple's brackets.
pub const TUPLE: &str = "__tuple";

/// The function that stands around what a loop goes over.
pub const EACH: &str = "__each";

/// The function that stands for `in`.
pub const WITHIN: &str = "__within";

/// The function that looks up a member that may be a method.
pub const MEMBER: &str = "__member";

/// The function that looks up an item whose key is the name of a method.
pub const ITEM: &str = "__item";

/// The function that looks up an item.
pub const SUBSCRIPT: &str = "__subscript";

/// The filter that pays for a look at a value, before another filter or a test.
pub const PAID: &str = "__paid";

/// The function that stands around the arguments of `loop.changed`.
pub const SEEN: &str = "__seen";

/// The function that pays for a text between two tags, and writes nothing.
pub const WRITES: &str = "__writes";

/// The function that stands around what becomes a member of a namespace.
pub const KEPT: &str = "__kept";

/// The function that stands around a power.
pub const RAISED: &str = "__raised";

/// The function that stands for the method `cycle`.
pub const CYCLE: &str = "__cycle";

/// Puts the functions into an environment.
pub fn define(environment: &mut Environment<'static>) {
    environment.add_function("__add", |parts: Rest<Value>| {
        let (first, rest) =
            parts.split_first().ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
        rest.iter().try_fold(first.clone(), |sum, part| add(&sum, part))
    });
    environment.add_function("__multiply", multiply);
    environment.add_function("__modulo", modulo);
    environment.add_function("__join", |parts: Rest<Value>| {
        let mut out = String::new();
        for part in parts.iter() {
            let text = written(part)?;
            spend(text.len())?;
            out.push_str(&text);
        }
        counted(Value::from(out))
    });
    environment.add_function(LIST, |parts: Rest<Value>| {
        nest(parts.iter())?;
        counted(Value::from(parts.0))
    });
    environment.add_function(TUPLE, |parts: Rest<Value>| {
        nest(parts.iter())?;
        counted(Value::from(Tuple::from(parts.0)))
    });
    environment.add_function("__equal", equal);
    environment.add_function("__unequal", |one: &Value, two: &Value| equal(one, two).map(|is| !is));
    environment.add_function("__less", |one: &Value, two: &Value| {
        ordered("<", one, two).map(|order| order == Some(Ordering::Less))
    });
    environment.add_function("__more", |one: &Value, two: &Value| {
        ordered(">", one, two).map(|order| order == Some(Ordering::Greater))
    });
    environment.add_function("__most", |one: &Value, two: &Value| {
        ordered("<=", one, two).map(|order| order.is_some_and(Ordering::is_le))
    });
    environment.add_function("__least", |one: &Value, two: &Value| {
        ordered(">=", one, two).map(|order| order.is_some_and(Ordering::is_ge))
    });
    environment.add_function(DICT, |parts: Rest<Value>| dict(&parts));
    environment.add_function(EACH, each);
    environment.add_function(WITHIN, within);
    environment.add_function(MEMBER, member);
    environment.add_function(SUBSCRIPT, |value: &Value, key: &Value| {
        // The letters of a text are found by counting.
        pay(value.as_str().map_or(0, str::len))?;
        look_into(key)?;
        match value.kind() {
            ValueKind::Iterable => Ok(Value::UNDEFINED),
            _ => value.get_item(key),
        }
    });
    environment.add_filter(PAID, |value: &Value| look(value).map(|()| value.clone()));
    environment.add_function(SEEN, |parts: Rest<Value>| {
        parts.iter().try_for_each(look_into)?;
        Ok::<Value, Error>(Value::from(parts.0))
    });
    environment.add_function(RAISED, |value: &Value| {
        // Where floats have no result, Python raises an error or goes on with complex numbers.
        match float(value).is_some_and(|number| !number.is_finite()) {
            true => Err(unsupported("a power that is no finite number")),
            false => Ok(value.clone()),
        }
    });
    environment.add_function(
        CYCLE,
        |state: &mut State, value: &Value, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            // The library divides by the number of items.
            if args.is_empty() && is_of(value, &["Loop"]) {
                let message = "no items for cycling given";
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
            value.call_method(state, "cycle", &args)
        },
    );
    environment.add_function(WRITES, |bytes: usize| spend(bytes).map(|()| ""));
    environment.add_function(KEPT, |value: &Value| {
        // A namespace that holds itself is never freed.
        if holds_namespace(value)? {
            return Err(unsupported("a namespace or a loop in a namespace"));
        }
        Ok(value.clone())
    });
    environment.add_function("dict", |all: Rest<ValueOrKwargs>| {
        let mut all = all.into_values();
        let named = Kwargs::try_from(all.pop_if(|last| last.is_kwargs()).unwrap_or_default())?;
        let value = all.pop();
        let bad = |value: &Value| value.is_none() || value.is_undefined() || is_namespace(value);
        if !all.is_empty() || value.as_ref().is_some_and(bad) {
            return Err(Error::new(ErrorKind::InvalidOperation, "a dict of no dict"));
        }
        let made = minijinja::functions::dict(value, named)?;
        look_into(&made)?;
        nested(counted(made)?)
    });
    environment.add_function("namespace", |of: Option<ValueOrKwargs>| {
        if let Some(of) = &of {
            if holds_namespace(of)? {
                return Err(unsupported("a namespace or a loop in a namespace"));
            }
            spend_times(PAIR_BYTES, of.len().unwrap_or(0))?;
        }
        minijinja::functions::namespace(of)
    });
    environment.add_function(ITEM, |value: &Value, name: &str| {
        let found = value.get_item(&Value::from(name))?;
        if found.is_undefined() { member(value, name) } else { Ok(found) }
    });
}

fn collected(items: Vec<Value>, tuple: bool) -> Value {
    if tuple { Value::from(Tuple::from(items)) } else { Value::from(items) }
}

/// `+`.
///
/// # Errors
/// If these values have no sum, or it is too long.
pub fn add(one: &Value, two: &Value) -> Result<Value, Error> {
    if let (Some(first), Some(second)) = (one.as_str(), two.as_str()) {
        spend(first.len().saturating_add(second.len()))?;
        if !one.is_safe() && !two.is_safe() {
            return Ok(Value::from([first, second].concat()));
        }
        // Text that is marked as safe escapes what is added to it.
        let (first, second) = (written(&escaped(one)?)?, written(&escaped(two)?)?);
        return Ok(Value::from_safe_string(first + &second));
    }
    if let (Some(first), Some(second)) = (whole(one), whole(two)) {
        let sum = first.checked_add(second).ok_or_else(|| impossible("+", one, two))?;
        return Ok(integer(sum));
    }
    if let (Some(first), Some(second)) = (float(one), float(two)) {
        return Ok(Value::from(first + second));
    }
    if is_list(one) && is_list(two) && is_tuple(one) == is_tuple(two) {
        let count = one.len().unwrap_or(0).saturating_add(two.len().unwrap_or(0));
        spend_times(ITEM_BYTES, count)?;
        let items = one.try_iter()?.chain(two.try_iter()?).collect();
        return nested(collected(items, is_tuple(one)));
    }
    Err(impossible("+", one, two))
}

/// A whole number in the narrowest type, as literals have it.
pub fn integer(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

fn multiply(one: &Value, two: &Value) -> Result<Value, Error> {
    if let (Some(first), Some(second)) = (whole(one), whole(two)) {
        let product = first.checked_mul(second).ok_or_else(|| impossible("*", one, two))?;
        return Ok(integer(product));
    }
    if let (Some(first), Some(second)) = (float(one), float(two)) {
        return Ok(Value::from(first * second));
    }
    let (repeated, times) = if whole(two).is_some() { (one, two) } else { (two, one) };
    let times = whole(times).ok_or_else(|| impossible("*", one, two))?;
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    if let Some(text) = repeated.as_str() {
        spend_times(text.len(), times)?;
        let text = text.repeat(if text.is_empty() { 0 } else { times });
        return Ok(if repeated.is_safe() {
            Value::from_safe_string(text)
        } else {
            Value::from(text)
        });
    }
    if is_list(repeated) {
        let items: Vec<Value> = repeated.try_iter()?.collect();
        spend_times(items.len().saturating_mul(ITEM_BYTES), times)?;
        let times = if items.is_empty() { 0 } else { times };
        return nested(collected(vec![items; times].concat(), is_tuple(repeated)));
    }
    Err(impossible("*", one, two))
}

fn modulo(state: &mut State, one: &Value, two: &Value) -> Result<Value, Error> {
    if one.as_str().is_some() {
        let mut all = vec![one.clone()];
        let many = matches!(two.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Undefined)
            && two.downcast_object_ref::<View>().is_none()
            && !is_namespace(two);
        if is_tuple(two) {
            all.extend(two.try_iter()?);
        } else if many && super::format::wanted(one.as_str().unwrap_or_default()) == 0 {
            // Python asks only of a tuple that every value is used.
        } else {
            all.push(two.clone());
        }
        return super::format::percent(state, &all);
    }
    let zero = || Error::new(ErrorKind::InvalidOperation, "% by 0");
    if let (Some(first), Some(second)) = (whole(one), whole(two)) {
        let rest = first.checked_rem(second).ok_or_else(zero)?;
        // The rest has the sign of the divisor.
        let other = rest != 0 && (rest < 0) != (second < 0);
        return Ok(integer(if other { rest + second } else { rest }));
    }
    if let (Some(first), Some(second)) = (float(one), float(two)) {
        if second == 0.0 {
            return Err(zero());
        }
        // The rest has the sign of the divisor, as zero too.
        return Ok(Value::from(match first % second {
            rest if rest == 0.0 => rest.copysign(second),
            rest if (rest < 0.0) != (second < 0.0) => rest + second,
            rest => rest,
        }));
    }
    Err(impossible("%", one, two))
}

/// A dict of keys and values in turn. Equal keys are one: 1, 1.0 and true are. The first stays, with
/// the last value.
fn dict(parts: &[Value]) -> Result<Value, Error> {
    nest(parts.iter())?;
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    for pair in parts.chunks_exact(2) {
        let [key, value] = pair else { continue };
        hashable(key)?;
        let plain = matches!(
            key.kind(),
            ValueKind::String | ValueKind::Number | ValueKind::Bool | ValueKind::None
        );
        if !plain && !is_tuple(key) || holds_namespace(key)? {
            return Err(unsupported("such a key of a dict"));
        }
        let mut place = None;
        for (at, (known, _)) in pairs.iter().enumerate() {
            if equal(known, key)? {
                place = Some(at);
                break;
            }
        }
        match place {
            Some(at) => pairs[at].1 = value.clone(),
            None => pairs.push((key.clone(), value.clone())),
        }
    }
    spend_times(PAIR_BYTES, pairs.len())?;
    Ok(Value::from_pairs(pairs))
}

/// What a loop goes over. Python goes over no none.
fn each(value: &Value) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => {
            take_apart(value)?;
            let letters = text.chars().map(|one| Value::from(one.to_string()));
            Ok(Value::from(letters.collect::<Vec<Value>>()))
        }
        None if value.is_none() => Err(Error::new(ErrorKind::InvalidOperation, "a loop over none")),
        None if is_namespace(value) => Err(unsupported("a loop over a namespace or a loop")),
        None => Ok(value.clone()),
    }
}

/// A member. Python's texts, lists and dicts have methods there, even where a dict has such a key.
///
/// # Errors
/// If it is a method.
pub fn member(value: &Value, name: &str) -> Result<Value, Error> {
    let methods = match value.kind() {
        ValueKind::String => OF_TEXT,
        ValueKind::Seq => OF_LIST,
        ValueKind::Map if !is_namespace(value) => OF_DICT,
        ValueKind::Number | ValueKind::Bool => OF_NUMBER,
        _ => "",
    };
    match has(methods, name) {
        true => Err(unsupported(format!("the method {name} without a call"))),
        false => value.get_attr(name),
    }
}
