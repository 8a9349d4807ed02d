//! Jinja's filters that put items in order, or find those that are alike.

use std::cmp::Ordering;

use minijinja::value::{Rest, Tuple, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, Value};

use super::budget::{ITEM_BYTES, PAIR_BYTES, counted, pay, spend_times, take_apart};
use super::compare::{equal, hashable, ordered};
use super::filters::arguments;
use super::groups::member;
use super::lazy::{Generator, Group, is_namespace};

/// Puts them into an environment.
pub fn define(environment: &mut Environment<'static>) {
    environment.add_filter("dictsort", dictsort);
    environment.add_filter("sort", sort);
    environment.add_filter("min", |value: &Value, all: Rest<ValueOrKwargs>| {
        extreme(value, all, Ordering::Less)
    });
    environment.add_filter("max", |value: &Value, all: Rest<ValueOrKwargs>| {
        extreme(value, all, Ordering::Greater)
    });
    environment.add_filter("unique", unique);
    environment.add_filter("groupby", groupby);
}

fn truthy(flag: Option<Value>) -> bool {
    flag.is_some_and(|flag| flag.is_true())
}

/// What items are compared by: their attributes, and texts without their case.
fn key(item: &Value, attributes: Option<&Value>, sensitive: bool) -> Result<Vec<Value>, Error> {
    let folded = |value: Value| match value.as_str() {
        Some(text) if !sensitive => Value::from(text.to_lowercase()),
        _ => value,
    };
    let attributes = attributes.filter(|attributes| !attributes.is_none());
    match attributes.map(|attributes| (attributes, attributes.as_str())) {
        None => Ok(vec![folded(item.clone())]),
        Some((_, Some(names))) => {
            names.split(',').map(|name| member(item, &Value::from(name)).map(folded)).collect()
        }
        Some((at, None)) => Ok(vec![folded(member(item, at)?)]),
    }
}

fn compared(one: &[Value], two: &[Value]) -> Result<Ordering, Error> {
    for (one, two) in one.iter().zip(two) {
        if !equal(one, two)? {
            return Ok(ordered("<", one, two)?.unwrap_or(Ordering::Equal));
        }
    }
    Ok(Ordering::Equal)
}

/// The order of two keys, without a look at whether they are equal. Two that are none have no order.
fn alone(one: &[Value], two: &[Value]) -> Result<Ordering, Error> {
    match (one, two) {
        ([one], [two]) => Ok(ordered("<", one, two)?.unwrap_or(Ordering::Equal)),
        _ => compared(one, two),
    }
}

/// Items with their keys, in order.
fn in_order(
    mut keyed: Vec<(Vec<Value>, Value)>,
    reverse: bool,
    order: fn(&[Value], &[Value]) -> Result<Ordering, Error>,
) -> Result<Vec<(Vec<Value>, Value)>, Error> {
    let mut wrong = None;
    keyed.sort_by(|(one, _), (two, _)| match order(one, two) {
        Ok(order) if reverse => order.reverse(),
        Ok(order) => order,
        Err(error) => {
            wrong = Some(error);
            Ordering::Equal
        }
    });
    wrong.map_or(Ok(keyed), Err)
}

/// Values in order.
///
/// # Errors
/// If they have none.
pub fn sorted(values: Vec<Value>) -> Result<Vec<Value>, Error> {
    let keyed = values.into_iter().map(|value| (vec![value.clone()], value)).collect();
    Ok(in_order(keyed, false, compared)?.into_iter().map(|(_, value)| value).collect())
}

fn keyed(
    value: &Value,
    by: Option<&Value>,
    sensitive: bool,
) -> Result<Vec<(Vec<Value>, Value)>, Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "a list of none"));
    }
    take_apart(value)?;
    let keyed = value.try_iter()?.map(|item| {
        let key = key(&item, by, sensitive)?;
        for part in &key {
            // Texts are copied without their case.
            spend_times(1, part.as_str().map_or(ITEM_BYTES, str::len))?;
        }
        Ok((key, item))
    });
    keyed.collect()
}

fn sort(value: &Value, all: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [reverse, sensitive, attribute] =
        arguments(all, ["reverse", "case_sensitive", "attribute"])?;
    let (reverse, sensitive) = (truthy(reverse), truthy(sensitive));
    let sorted = in_order(keyed(value, attribute.as_ref(), sensitive)?, reverse, compared)?;
    counted(Value::from(sorted.into_iter().map(|(_, item)| item).collect::<Vec<Value>>()))
}

fn dictsort(value: &Value, all: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [sensitive, by, reverse] = arguments(all, ["case_sensitive", "by", "reverse"])?;
    let (sensitive, reverse) = (truthy(sensitive), truthy(reverse));
    let by = by.unwrap_or_else(|| Value::from("key"));
    let place = ["key", "value"].iter().position(|one| by.as_str() == Some(one));
    let (Some(place), ValueKind::Map, false) = (place, value.kind(), is_namespace(value)) else {
        let why = format!("dictsort of a value of type {} by {by}", value.kind());
        return Err(Error::new(ErrorKind::InvalidOperation, why));
    };
    let mut pairs = Vec::new();
    for name in value.try_iter()? {
        spend_times(PAIR_BYTES, 1)?;
        let of = value.get_item(&name)?;
        pairs.push(Value::from(Tuple::from(vec![name, of])));
    }
    let keyed = keyed(&Value::from(pairs), Some(&Value::from(place)), sensitive)?;
    let sorted = in_order(keyed, reverse, alone)?.into_iter().map(|(_, pair)| pair);
    Ok(Value::from(sorted.collect::<Vec<Value>>()))
}

/// The first of the least items, or of the greatest.
fn extreme(value: &Value, all: Rest<ValueOrKwargs>, wanted: Ordering) -> Result<Value, Error> {
    let [sensitive, attribute] = arguments(all, ["case_sensitive", "attribute"])?;
    let mut best: Option<(Vec<Value>, Value)> = None;
    for (key, item) in keyed(value, attribute.as_ref(), truthy(sensitive))? {
        match &best {
            Some((known, _)) if alone(&key, known)? != wanted => {}
            _ => best = Some((key, item)),
        }
    }
    Ok(best.map_or(Value::UNDEFINED, |(_, item)| item))
}

fn compared_equal(one: &[Value], two: &[Value]) -> Result<bool, Error> {
    for (one, two) in one.iter().zip(two) {
        if !equal(one, two)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn unique(value: &Value, all: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [sensitive, attribute] = arguments(all, ["case_sensitive", "attribute"])?;
    let mut known: Vec<Vec<Value>> = Vec::new();
    let mut items = Vec::new();
    for (key, item) in keyed(value, attribute.as_ref(), truthy(sensitive))? {
        let mut fresh = true;
        key.iter().try_for_each(hashable)?;
        for other in &known {
            if compared_equal(other, &key)? {
                fresh = false;
                break;
            }
        }
        if fresh {
            known.push(key);
            items.push(item);
        }
    }
    Ok(Generator::of(items))
}

fn groupby(value: &Value, all: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [attribute, default, sensitive] =
        arguments(all, ["attribute", "default", "case_sensitive"])?;
    let attribute = attribute.ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
    let default = default.filter(|default| !default.is_none());
    let sensitive = truthy(sensitive);
    let of = |item: &Value| -> Result<Value, Error> {
        match (member(item, &attribute), &default) {
            (Ok(found), Some(default)) if found.is_undefined() => Ok(default.clone()),
            (found, _) => found,
        }
    };
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "groups of none"));
    }
    take_apart(value)?;
    let mut rows = Vec::new();
    for item in value.try_iter()? {
        pay(ITEM_BYTES)?;
        rows.push((key(&of(&item)?, None, sensitive)?, item));
    }
    let mut groups: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
    for (key, item) in in_order(rows, false, alone)? {
        match groups.last_mut() {
            Some((known, items)) if compared(known, &key)? == Ordering::Equal => items.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    let mut made = Vec::new();
    for (_, items) in groups {
        // The group has the value of its first item, in its own case.
        let named = items.first().map_or(Ok(Value::UNDEFINED), &of)?;
        made.push(Value::from_object(Group([named, Value::from(items)])));
    }
    counted(Value::from(made))
}
