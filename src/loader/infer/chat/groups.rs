//! Jinja's filters of lists: those that sort, and those that give generators.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};

use super::budget::{
    ITEM_BYTES, PAIR_BYTES, counted, exceeded, look, look_into, nested, pay, spend_times,
    take_apart,
};
use super::compare::{equal, ordered};
use super::lazy::{Generator, Group, Range};
use super::operators::add;
use super::tokens::unsupported;
use super::vocabulary::{FILTERS, has};

/// Most parts of `batch` and `slice`.
const PARTS: i64 = 1 << 20;

/// Puts them into an environment.
pub fn define(environment: &mut Environment<'static>) {
    environment.add_filter("__map", filters::map);
    environment.add_filter("__select", filters::select);
    environment.add_filter("__reject", filters::reject);
    environment.add_filter("__selectattr", filters::selectattr);
    environment.add_filter("__rejectattr", filters::rejectattr);
    environment.add_filter("__batch", filters::batch);
    environment.add_filter("__slice", filters::slice);
    environment.add_filter("__items", filters::items);
    for (name, own) in [
        ("map", "__map"),
        ("select", "__select"),
        ("reject", "__reject"),
        ("selectattr", "__selectattr"),
        ("rejectattr", "__rejectattr"),
        ("batch", "__batch"),
        ("slice", "__slice"),
        ("items", "__items"),
    ] {
        environment.add_filter(name, move |state: &mut State, all: Rest<ValueOrKwargs>| {
            lazily(state, own, &all.into_values())
        });
    }
    environment.add_filter("reverse", |value: &Value| match value.as_str() {
        Some(text) => counted(Value::from(text.chars().rev().collect::<String>())),
        None if value.is_none() => {
            Err(Error::new(ErrorKind::InvalidOperation, "the reverse of none"))
        }
        None => {
            take_apart(value)?;
            let mut items: Vec<Value> = value.try_iter()?.collect();
            items.reverse();
            Ok(Generator::of(items))
        }
    });
    environment.add_filter("list", |value: &Value| {
        if value.is_none() {
            return Err(Error::new(ErrorKind::InvalidOperation, "a list of none"));
        }
        take_apart(value)?;
        Ok(Value::from(value.try_iter()?.collect::<Vec<Value>>()))
    });
    environment.add_filter("dictsort", |state: &mut State, all: Rest<ValueOrKwargs>| {
        let all = all.into_values();
        all.iter().try_for_each(look_into)?;
        spend_times(PAIR_BYTES, all.first().and_then(Value::len).unwrap_or(0))?;
        state.apply_filter("__dictsort", &all)
    });
    environment.add_filter("__dictsort", filters::dictsort);
    environment.add_filter("sum", sum);
    environment.add_filter("first", |value: &Value| {
        match value.downcast_object_ref::<Generator>() {
            Some(generator) => Ok(generator.first()),
            None if value.is_none() => {
                Err(Error::new(ErrorKind::InvalidOperation, "the first of none"))
            }
            // The library takes all letters of a text for its first one.
            None => Ok(match value.as_str() {
                Some(text) => {
                    text.chars().next().map(|one| Value::from(one.to_string())).unwrap_or_default()
                }
                None => value.try_iter()?.next().unwrap_or_default(),
            }),
        }
    });
    environment.add_filter("last", |value: &Value| match value.kind() {
        ValueKind::String => {
            let last = value.as_str().and_then(|text| text.chars().next_back());
            Ok(last.map(|one| Value::from(one.to_string())).unwrap_or_default())
        }
        ValueKind::Seq | ValueKind::Map => {
            look(value)?;
            Ok(value.try_iter()?.last().unwrap_or_default())
        }
        kind => Err(Error::new(ErrorKind::InvalidOperation, format!("the last of {kind}"))),
    });
    environment.add_filter("sort", sort);
    environment.add_filter("min", |value: &Value, sensitive: Option<bool>, named: Kwargs| {
        extreme(value, sensitive, &named, Ordering::Less)
    });
    environment.add_filter("max", |value: &Value, sensitive: Option<bool>, named: Kwargs| {
        extreme(value, sensitive, &named, Ordering::Greater)
    });
    environment.add_filter("unique", unique);
    environment.add_filter("groupby", groupby);
    environment.add_function("range", |first: i64, stop: Option<i64>, step: Option<i64>| {
        Range::new(first, stop, step).map(Value::from_object)
    });
}

/// Calls a filter whose result is a generator, except of a text.
fn lazily(state: &mut State, own: &str, all: &[Value]) -> Result<Value, Error> {
    let wide = |value: &Value| i64::try_from(value.clone()).is_ok_and(|number| number > PARTS);
    if ["__batch", "__slice"].contains(&own) && all.iter().skip(1).any(wide) {
        return Err(exceeded());
    }
    let filled = |value: &Value| match Kwargs::try_from(value.clone()) {
        Ok(named) => {
            named.has("fill_with")
                && named.peek::<Value>("fill_with").is_ok_and(|with| with.is_undefined())
        }
        Err(_) => value.is_undefined(),
    };
    if ["__batch", "__slice"].contains(&own) && all.iter().skip(1).any(filled) {
        return Err(unsupported("rows that are filled up with what is undefined"));
    }
    // Rows are filled up, and there are as many slices as are asked for.
    if own == "__batch" && all.len() > 2 || own == "__slice" {
        let asked = all.get(1).and_then(|asked| usize::try_from(asked.clone()).ok());
        spend_times(PAIR_BYTES, asked.unwrap_or(0))?;
    }
    if let Some(first) = all.first() {
        take_apart(first)?;
        let paths = all.iter().skip(1).filter_map(|path| path.as_str().map(str::len)).max();
        pay(paths.unwrap_or(0).saturating_mul(first.len().unwrap_or(1)))?;
    }
    let falsy = ["__map", "__select", "__reject", "__selectattr", "__rejectattr"].contains(&own);
    match all.first() {
        Some(first) if first.is_undefined() && own == "__slice" => {
            let mut all = all.to_vec();
            all[0] = Value::from(Vec::<Value>::new());
            return lazily(state, own, &all);
        }
        Some(first) if first.is_undefined() || falsy && !first.is_true() => {
            return Ok(Generator::of(Vec::new()));
        }
        Some(first) if first.is_none() => {
            return Err(Error::new(ErrorKind::InvalidOperation, "a list of none"));
        }
        Some(first) if own == "__map" => {
            // `minijinja` gives no named arguments to the filter.
            if let Some(name) = all.get(1).filter(|name| !name.is_kwargs()) {
                let name = name.as_str().filter(|name| has(FILTERS, name));
                let name = name.ok_or_else(|| Error::from(ErrorKind::UnknownFilter))?;
                let mut items = Vec::new();
                for item in first.try_iter()? {
                    let mut all = all.to_vec();
                    all.remove(1);
                    all[0] = item;
                    look(&all[0])?;
                    items.push(counted(state.apply_filter(name, &all)?)?);
                }
                return generator(items);
            }
        }
        _ => {}
    }
    let made = counted(state.apply_filter(own, all)?)?;
    match made.kind() {
        ValueKind::Seq | ValueKind::Iterable => generator(made.try_iter()?.collect()),
        _ => Ok(made),
    }
}

/// A generator of these items.
fn generator(items: Vec<Value>) -> Result<Value, Error> {
    nested(Value::from(items.clone()))?;
    Ok(Generator::of(items))
}

/// `sum`, with Python's `+`.
fn sum(
    value: &Value,
    attribute: Option<Value>,
    start: Option<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let attribute = attribute.or(named.get("attribute")?).filter(|path| !path.is_none());
    let start = start.or(named.get("start")?).unwrap_or_else(|| Value::from(0));
    named.assert_all_used()?;
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "the sum of none"));
    }
    take_apart(value)?;
    value.try_iter()?.try_fold(start, |sum, item| {
        let item = attribute.as_ref().map_or(Ok(item.clone()), |path| member(&item, path))?;
        add(&sum, &item)
    })
}

/// An attribute by its path, such as `a.b` or `0`, as Jinja's filters look it up.
///
/// # Errors
/// If a value on the way is not there.
pub fn member(value: &Value, path: &Value) -> Result<Value, Error> {
    let Some(path) = path.as_str() else { return value.get_item(path) };
    pay(path.len())?;
    let mut found = value.clone();
    for part in path.split('.') {
        found = match part.parse::<usize>() {
            Ok(at) => found.get_item(&Value::from(at))?,
            Err(_) => found.get_item(&Value::from(part))?,
        };
    }
    Ok(found)
}

/// What items are compared by: their attributes, and texts without their case.
fn key(item: &Value, attributes: Option<&Value>, sensitive: bool) -> Result<Vec<Value>, Error> {
    let folded = |value: Value| match value.as_str() {
        Some(text) if !sensitive => Value::from(text.to_lowercase()),
        _ => value,
    };
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

/// Items with their keys, in order.
fn in_order(
    mut keyed: Vec<(Vec<Value>, Value)>,
    reverse: bool,
) -> Result<Vec<(Vec<Value>, Value)>, Error> {
    let mut wrong = None;
    keyed.sort_by(|(one, _), (two, _)| match compared(one, two) {
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
    Ok(in_order(keyed, false)?.into_iter().map(|(_, value)| value).collect())
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

fn sort(
    value: &Value,
    reverse: Option<bool>,
    sensitive: Option<bool>,
    attribute: Option<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let reverse = reverse.or(named.get("reverse")?).unwrap_or(false);
    let sensitive = sensitive.or(named.get("case_sensitive")?).unwrap_or(false);
    let attribute = attribute.or(named.get("attribute")?);
    named.assert_all_used()?;
    let sorted = in_order(keyed(value, attribute.as_ref(), sensitive)?, reverse)?;
    counted(Value::from(sorted.into_iter().map(|(_, item)| item).collect::<Vec<Value>>()))
}

/// The first of the least items, or of the greatest.
fn extreme(
    value: &Value,
    sensitive: Option<bool>,
    named: &Kwargs,
    wanted: Ordering,
) -> Result<Value, Error> {
    let sensitive = sensitive.or(named.get("case_sensitive")?).unwrap_or(false);
    let attribute: Option<Value> = named.get("attribute")?;
    named.assert_all_used()?;
    let mut best: Option<(Vec<Value>, Value)> = None;
    for (key, item) in keyed(value, attribute.as_ref(), sensitive)? {
        match &best {
            Some((known, _)) if compared(&key, known)? != wanted => {}
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

fn unique(value: &Value, sensitive: Option<bool>, named: Kwargs) -> Result<Value, Error> {
    let sensitive = sensitive.or(named.get("case_sensitive")?).unwrap_or(false);
    let attribute: Option<Value> = named.get("attribute")?;
    named.assert_all_used()?;
    let mut known: Vec<Vec<Value>> = Vec::new();
    let mut items = Vec::new();
    for (key, item) in keyed(value, attribute.as_ref(), sensitive)? {
        let mut fresh = true;
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

fn groupby(
    value: &Value,
    attribute: &Value,
    default: Option<Value>,
    sensitive: Option<bool>,
    named: Kwargs,
) -> Result<Value, Error> {
    let default = default.or(named.get("default")?);
    let sensitive = sensitive.or(named.get("case_sensitive")?).unwrap_or(false);
    named.assert_all_used()?;
    let of = |item: &Value| -> Result<Value, Error> {
        match (member(item, attribute), &default) {
            (Ok(found), Some(default)) if found.is_undefined() => Ok(default.clone()),
            (found, _) => found,
        }
    };
    take_apart(value)?;
    let mut rows = Vec::new();
    for item in value.try_iter()? {
        pay(ITEM_BYTES)?;
        rows.push((key(&of(&item)?, None, sensitive)?, item));
    }
    let mut groups: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
    for (key, item) in in_order(rows, false)? {
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
