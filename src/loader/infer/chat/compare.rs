//! Python's comparisons. Each pays for what it looks at: values may hold each other many times.

use std::cmp::Ordering;
use std::sync::Arc;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::budget::{ITEM_BYTES, look_into, pay};
use super::lazy::{Generator, Group, Range, View, is_namespace};
use super::tokens::unsupported;

/// The error for an operator that these values do not have.
pub fn impossible(sign: &str, one: &Value, two: &Value) -> Error {
    let why = format!("{sign} of {} and {}", one.kind(), two.kind());
    Error::new(ErrorKind::InvalidOperation, why)
}

/// A whole number; true and false are numbers to Python.
pub fn whole(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

/// A number as a float.
pub fn float(value: &Value) -> Option<f64> {
    match (whole(value), value.kind()) {
        (Some(number), _) => Some(number as f64),
        (None, ValueKind::Number) => f64::try_from(value.clone()).ok(),
        _ => None,
    }
}

/// Refuses what can be no key of a dict.
///
/// # Errors
/// If it is none.
pub fn hashable(key: &Value) -> Result<(), Error> {
    match key.kind() {
        ValueKind::Seq if is_tuple(key) => key.try_iter()?.try_for_each(|item| hashable(&item)),
        kind @ (ValueKind::Seq | ValueKind::Map) if !is_namespace(key) => {
            let why = format!("a value of type {kind} as a key");
            Err(Error::new(ErrorKind::InvalidOperation, why))
        }
        _ => Ok(()),
    }
}

/// Whether a value is a tuple: also a group of `groupby`, as a part of one is.
pub fn is_tuple(value: &Value) -> bool {
    value.is_tuple() || value.downcast_object_ref::<Group>().is_some()
}

/// Whether a value is a list or a tuple to Python.
pub fn is_list(value: &Value) -> bool {
    value.kind() == ValueKind::Seq
        && value.downcast_object_ref::<Range>().is_none()
        && value.downcast_object_ref::<View>().is_none()
}

/// The order of two numbers: `None` if one is no number, and `Some(None)` if they have no order. Python compares
/// a whole number with a float exactly.
fn numbers(one: &Value, two: &Value) -> Option<Option<Ordering>> {
    let exact = |one: i128, two: f64| {
        let part = if two > two.floor() { Ordering::Less } else { Ordering::Equal };
        let order = one.cmp(&(two.floor() as i128)).then(part);
        (!two.is_nan()).then_some(order)
    };
    Some(match (whole(one), whole(two)) {
        (Some(one), Some(two)) => Some(one.cmp(&two)),
        (Some(one), None) => exact(one, float(two)?),
        (None, Some(two)) => exact(two, float(one)?).map(Ordering::reverse),
        (None, None) => float(one)?.partial_cmp(&float(two)?),
    })
}

/// `==`. A range or a view of a dict equals no list, and a namespace no dict.
///
/// # Errors
/// If there is too much to look at.
pub fn equal(one: &Value, two: &Value) -> Result<bool, Error> {
    let (first, second) = (one.downcast_object_ref::<Range>(), two.downcast_object_ref::<Range>());
    match (first, second) {
        (Some(first), Some(second)) => return Ok(first == second),
        (None, None) => {}
        _ => return Ok(false),
    }
    if let (Some(first), Some(second)) = (one.as_str(), two.as_str()) {
        pay(first.len().min(second.len()).max(1))?;
        return Ok(first == second);
    }
    pay(ITEM_BYTES)?;
    if let (Some(first), Some(second)) =
        (one.downcast_object::<Generator>(), two.downcast_object::<Generator>())
    {
        return Ok(Arc::ptr_eq(&first, &second));
    }
    if let (Some(first), Some(second)) =
        (one.downcast_object::<View>(), two.downcast_object::<View>())
    {
        return match (first.name, second.name) {
            // Python compares no values of a dict with others.
            ("dict_values", "dict_values") => Ok(Arc::ptr_eq(&first, &second)),
            (name, other) if name == other => alike(&first.items, &second.items),
            _ => Ok(false),
        };
    }
    match (one.kind(), two.kind()) {
        (ValueKind::Seq, ValueKind::Seq) => {
            let alike = is_list(one) == is_list(two) && is_tuple(one) == is_tuple(two);
            if !alike || one.len() != two.len() {
                return Ok(false);
            }
            for (first, second) in one.try_iter()?.zip(two.try_iter()?) {
                if !equal(&first, &second)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (ValueKind::Map, ValueKind::Map) => {
            // The library does not tell whether two of them are one.
            if is_namespace(one) && is_namespace(two) {
                return Err(unsupported("a comparison of two namespaces, loops or macros"));
            }
            if is_namespace(one) || is_namespace(two) {
                return Ok(false);
            }
            if one.len() != two.len() {
                return Ok(false);
            }
            for key in one.try_iter()? {
                look_into(&key)?;
                match two.get_item(&key) {
                    Ok(other) if !other.is_undefined() => {
                        if !equal(&one.get_item(&key)?, &other)? {
                            return Ok(false);
                        }
                    }
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        _ => Ok(match numbers(one, two) {
            Some(order) => order == Some(Ordering::Equal),
            None => one == two,
        }),
    }
}

/// Whether two sets hold the same.
fn alike(one: &[Value], two: &[Value]) -> Result<bool, Error> {
    let held = |value: &Value| {
        two.iter().try_fold(false, |held, other| Ok::<bool, Error>(held || equal(value, other)?))
    };
    one.iter().try_fold(one.len() == two.len(), |alike, value| Ok(alike && held(value)?))
}

/// Whether a value is a namespace or a loop, or holds one.
///
/// # Errors
/// If there is too much to look at.
pub fn holds_namespace(value: &Value) -> Result<bool, Error> {
    pay(ITEM_BYTES)?;
    let map = value.kind() == ValueKind::Map;
    if is_namespace(value) {
        return Ok(true);
    }
    if !map && value.kind() != ValueKind::Seq {
        return Ok(false);
    }
    for item in value.try_iter()? {
        let held = if map { value.get_item(&item).unwrap_or_default() } else { item };
        if holds_namespace(&held)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The order of two values of kinds that have one; `None` beside a value that is no number.
///
/// # Errors
/// If they have none.
pub fn ordered(sign: &str, one: &Value, two: &Value) -> Result<Option<Ordering>, Error> {
    if let Some(order) = numbers(one, two) {
        return Ok(order);
    }
    if let (Some(first), Some(second)) = (one.as_str(), two.as_str()) {
        pay(first.len().min(second.len()).max(1))?;
        return Ok(Some(first.cmp(second)));
    }
    if is_list(one) && is_list(two) && is_tuple(one) == is_tuple(two) {
        for (first, second) in one.try_iter()?.zip(two.try_iter()?) {
            if !equal(&first, &second)? {
                return ordered(sign, &first, &second);
            }
        }
        return Ok(Some(one.len().cmp(&two.len())));
    }
    Err(impossible(sign, one, two))
}

/// `in`.
///
/// # Errors
/// If the second value holds nothing, or there is too much to look at.
pub fn within(one: &Value, two: &Value) -> Result<bool, Error> {
    match (two.as_str(), one.as_str(), two.kind()) {
        (Some(text), Some(part), _) => {
            pay(text.len())?;
            Ok(text.contains(part))
        }
        (None, _, ValueKind::Undefined) => Ok(false),
        _ if is_namespace(two) => Err(impossible("in", one, two)),
        (None, _, ValueKind::Iterable) => {
            // What stands behind the value that is found stays in the generator.
            let generator = two.downcast_object_ref::<Generator>();
            while let Some(item) = generator.and_then(Generator::next) {
                if equal(one, &item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (None, _, ValueKind::Seq | ValueKind::Map) => {
            let keys = two.downcast_object_ref::<View>().is_some_and(|one| one.name == "dict_keys");
            if keys || two.kind() == ValueKind::Map {
                hashable(one)?;
            }
            for item in two.try_iter()? {
                if equal(one, &item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(impossible("in", one, two)),
    }
}
