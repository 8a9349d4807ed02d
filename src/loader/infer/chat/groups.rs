//! Jinja's filters of lists, many of which give generators.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};

use super::budget::{PAIR_BYTES, counted, exceeded, look, nested, pay, spend_times, take_apart};
use super::filters::{arguments, there};
use super::lazy::{Generator, Range, is_namespace};
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
            // Python turns no generator around, so Jinja makes a list of it.
            match value.kind() {
                ValueKind::Iterable => Ok(Value::from(items)),
                _ => Ok(Generator::of(items)),
            }
        }
    });
    environment.add_filter("list", |value: &Value| {
        if value.is_none() {
            return Err(Error::new(ErrorKind::InvalidOperation, "a list of none"));
        }
        take_apart(value)?;
        Ok(Value::from(value.try_iter()?.collect::<Vec<Value>>()))
    });
    environment.add_filter("sum", sum);
    environment.add_filter("first", |value: &Value| {
        match value.downcast_object_ref::<Generator>() {
            Some(generator) => Ok(generator.next().unwrap_or_default()),
            None if value.is_none() || is_namespace(value) => {
                Err(Error::new(ErrorKind::InvalidOperation, "the first of none, or a namespace"))
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
        ValueKind::Seq | ValueKind::Map if !is_namespace(value) => {
            look(value)?;
            Ok(value.try_iter()?.last().unwrap_or_default())
        }
        kind => Err(Error::new(ErrorKind::InvalidOperation, format!("the last of {kind}"))),
    });
    environment.add_function("range", |bounds: Rest<Value>| {
        bounds.iter().try_for_each(there)?;
        if bounds.iter().any(Value::is_none) {
            return Err(Error::new(ErrorKind::InvalidOperation, "a range with the bound none"));
        }
        let (first, stop, step) = from_args(&bounds)?;
        Range::new(first, stop, step).map(Value::from_object)
    });
}

/// Calls a filter whose result is a generator, except of a text.
fn lazily(state: &mut State, own: &str, all: &[Value]) -> Result<Value, Error> {
    let wide = |value: &Value| i64::try_from(value.clone()).is_ok_and(|number| number > PARTS);
    if ["__batch", "__slice"].contains(&own) && all.iter().skip(1).any(wide) {
        return Err(exceeded());
    }
    let none = |value: &Value| {
        let named = Kwargs::try_from(value.clone());
        named.is_ok_and(|named| named.peek::<Value>("default").is_ok_and(|one| one.is_none()))
    };
    if own == "__map" && all.last().is_some_and(none) {
        return Err(unsupported("map with none as the default"));
    }
    if ["__batch", "__slice"].contains(&own) && all.iter().skip(1).any(Value::is_undefined) {
        return Err(unsupported("rows that are filled up with what is undefined"));
    }
    let name = if own.ends_with("attr") { 2 } else { 1 };
    let nameless = |value: &Value| value.is_undefined() || value.is_none();
    let tests = ["__select", "__reject", "__selectattr", "__rejectattr"];
    if tests.contains(&own) && all[1..].iter().take(name).any(nameless) {
        return Err(unsupported("a test or an attribute whose name is undefined or none"));
    }
    // Rows are filled up, and there are as many slices as are asked for.
    if own == "__batch" && all.len() > 2 || own == "__slice" {
        let asked = all.get(1).and_then(|asked| usize::try_from(asked.clone()).ok());
        spend_times(PAIR_BYTES, asked.unwrap_or(0))?;
    }
    let first = all.first().ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
    take_apart(first)?;
    let paths = all.iter().skip(1).filter_map(|path| path.as_str().map(str::len)).max();
    pay(paths.unwrap_or(0).saturating_mul(first.len().unwrap_or(1)))?;
    let falsy = own == "__map" || tests.contains(&own);
    match first {
        _ if first.is_undefined() && own == "__slice" => {
            let mut all = all.to_vec();
            all[0] = Value::from(Vec::<Value>::new());
            return lazily(state, own, &all);
        }
        _ if first.is_undefined() || falsy && !first.is_true() => {
            return Ok(Generator::of(Vec::new()));
        }
        _ if first.is_none() => {
            return Err(Error::new(ErrorKind::InvalidOperation, "a list of none"));
        }
        _ if own == "__map" => {
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
    generator(made.try_iter()?.collect())
}

/// A generator of these items.
fn generator(items: Vec<Value>) -> Result<Value, Error> {
    nested(Value::from(items.clone()))?;
    Ok(Generator::of(items))
}

/// `sum`, with Python's `+`.
fn sum(value: &Value, all: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [attribute, start] = arguments(all, ["attribute", "start"])?;
    let attribute = attribute.filter(|path| !path.is_none());
    let start = start.unwrap_or_else(|| Value::from(0));
    if value.is_none() || start.as_str().is_some() {
        return Err(Error::new(ErrorKind::InvalidOperation, "the sum of none, or of texts"));
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
