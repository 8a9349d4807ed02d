//! Filters of lists and dicts.

use super::arguments::{needed, word};
use super::attributes::item;
use super::fault::{Result, failed, unknown};
use super::held::ITEM;
use super::machine::Machine;
use super::operators::{binary, order};
use super::text::items;
use super::value::{Arguments, Map, Value};

/// Applies a filter, if it is one of these.
pub fn apply(
    name: &str,
    value: &Value,
    given: Arguments,
    machine: &Machine,
) -> Result<Option<Value>> {
    let yes = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let done = match name {
        "list" => {
            given.none(name)?;
            Value::list(all(value, machine)?)
        }
        "first" => {
            given.none(name)?;
            let first = match value {
                Value::Once(left) => left.borrow_mut().pop_front(),
                other => items(other, machine)?.into_iter().next(),
            };
            first.unwrap_or_else(|| Value::undefined("No first item, sequence was empty."))
        }
        "last" => {
            given.none(name)?;
            if let Value::Once(_) = value {
                return failed("'generator' object is not reversible");
            }
            let last = items(value, machine)?.pop();
            last.unwrap_or_else(|| Value::undefined("No last item, sequence was empty."))
        }
        "reverse" => {
            given.none(name)?;
            let mut all = all(value, machine)?;
            all.reverse();
            match value {
                Value::Text(_) => {
                    Value::text(all.iter().filter_map(Value::as_text).collect::<String>())
                }
                // Python turns no generator around, so Jinja makes a list of it.
                Value::Once(_) => Value::list(all),
                _ => Value::once(all),
            }
        }
        "items" => {
            given.none(name)?;
            match value {
                Value::Undefined(_) => Value::once(Vec::new()),
                Value::Map(map) => {
                    machine.spend_times(3 * ITEM, map.0.len())?;
                    Value::once(pairs(map))
                }
                _ => return failed("Can only get item pairs from a mapping."),
            }
        }
        "dictsort" => {
            let [case, by, reverse] = given.bind(name, ["case_sensitive", "by", "reverse"])?;
            let Value::Map(map) = value else { return failed("dictsort() expects a dict") };
            let place = match word(by, name)?.as_deref() {
                None | Some("key") => 0,
                Some("value") => 1,
                _ => return failed("You can only sort by either 'key' or 'value'"),
            };
            let key = |pair: &Value| item(pair, &Value::Int(place));
            machine.spend_times(3 * ITEM, map.0.len())?;
            Value::list(sorted(pairs(map), yes(case), turned(reverse)?, key, machine)?)
        }
        "sort" => {
            let names = ["reverse", "case_sensitive", "attribute"];
            let [reverse, case, by] = given.bind(name, names)?;
            let paths = match by {
                Some(Value::Text(text)) => text.text.split(',').map(Value::text).collect(),
                Some(path) if !matches!(path, Value::None) => vec![path],
                _ => Vec::new(),
            };
            let case = yes(case);
            let key = |value: &Value| match paths.as_slice() {
                // Lists are compared by what differs, so that two that are none are in order.
                [] => Ok(Value::list(vec![folded(value.clone(), case)])),
                paths => {
                    let part = |path| member(value, path).map(|part| folded(part, case));
                    paths.iter().map(part).collect::<Result<Vec<Value>>>().map(Value::list)
                }
            };
            Value::list(sorted(all(value, machine)?, case, turned(reverse)?, key, machine)?)
        }
        "unique" => {
            let [case, by] = given.bind(name, ["case_sensitive", "attribute"])?;
            let case = yes(case);
            let mut seen: Vec<Value> = Vec::new();
            let mut kept = Vec::new();
            for value in all(value, machine)? {
                let key = keyed(&value, by.as_ref())?;
                paid(&key, machine)?;
                let key = folded(key, case);
                key.hashable()?;
                let length = key.as_text().map_or(8, |text| text.len().max(8));
                machine.look(seen.len().saturating_mul(length))?;
                if !seen.iter().any(|one| one.equals(&key)) {
                    seen.push(key);
                    kept.push(value);
                }
            }
            Value::once(kept)
        }
        "min" | "max" => {
            let [case, by] = given.bind(name, ["case_sensitive", "attribute"])?;
            let key = |value: &Value| keyed(value, by.as_ref());
            // Python keeps the first of equal values.
            let sorted = sorted(all(value, machine)?, yes(case), name == "max", key, machine)?;
            sorted
                .into_iter()
                .next()
                .unwrap_or_else(|| Value::undefined("No aggregated item, sequence was empty."))
        }
        "sum" => {
            let [by, start] = given.bind(name, ["attribute", "start"])?;
            let mut sum = start.unwrap_or(Value::Int(0));
            if let Value::Text(_) = sum {
                return failed("sum() can't sum strings [use ''.join(seq) instead]");
            }
            for value in all(value, machine)? {
                sum = binary("+", &sum, &keyed(&value, by.as_ref())?, machine)?;
            }
            sum
        }
        "batch" => {
            let [count, fill] = given.bind(name, ["linecount", "fill_with"])?;
            let count = count.and_then(|count| usize::try_from(count.as_int()?).ok());
            let Some(count) = count.filter(|count| *count > 0) else {
                return unknown("batch without a count");
            };
            let mut rows = Vec::new();
            for row in all(value, machine)?.chunks(count) {
                let mut row = row.to_vec();
                if let Some(fill) = fill.as_ref().filter(|fill| !matches!(fill, Value::None)) {
                    machine.spend_times(ITEM, count)?;
                    row.resize(count, fill.clone());
                }
                rows.push(Value::list(row));
            }
            Value::once(rows)
        }
        "groupby" => {
            let [by, default, case] =
                given.bind(name, ["attribute", "default", "case_sensitive"])?;
            if default.is_some() || case.is_some() {
                return unknown("groupby with a default or with letter case");
            }
            let by = Some(needed(by, name)?);
            let key = |value: &Value| keyed(value, by.as_ref());
            let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
            for value in sorted(all(value, machine)?, false, false, key, machine)? {
                let key = keyed(&value, by.as_ref())?;
                match groups.last_mut() {
                    Some((last, group))
                        if folded(last.clone(), false).equals(&folded(key.clone(), false)) =>
                    {
                        group.push(value);
                    }
                    _ => groups.push((key, vec![value])),
                }
            }
            let group = |(key, group)| Value::tuple(vec![key, Value::list(group)]);
            Value::list(groups.into_iter().map(group).collect())
        }
        _ => return Ok(None),
    };
    Ok(Some(done))
}

/// Whether an order is reversed, which a number says.
fn turned(reverse: Option<Value>) -> Result<bool> {
    match reverse.map(|reverse| reverse.as_int().ok_or(reverse)) {
        None => Ok(false),
        Some(Ok(number)) => Ok(number != 0),
        Some(Err(other)) => {
            failed(format!("'{}' object cannot be interpreted as an integer", other.kind()))
        }
    }
}

/// Pays for a key of an order.
fn paid(key: &Value, machine: &Machine) -> Result<()> {
    if let Value::Sequence(_, parts) = key {
        parts.iter().try_for_each(|part| paid(part, machine))?;
    }
    let length = key.as_text().map_or(ITEM, str::len);
    machine.spend(length)?;
    machine.look(length.saturating_mul(20))
}

/// The items of a value, paid for.
fn all(value: &Value, machine: &Machine) -> Result<Vec<Value>> {
    let all = items(value, machine)?;
    machine.look(all.len())?;
    Ok(all)
}

fn pairs(map: &Map) -> Vec<Value> {
    map.0.iter().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()])).collect()
}

/// What a filter looks at: a value, or a member of it.
pub fn keyed(value: &Value, by: Option<&Value>) -> Result<Value> {
    match by {
        None | Some(Value::None) => Ok(value.clone()),
        Some(path) => member(value, path),
    }
}

/// A member by a path with dots, as `map` and `selectattr` have it: keys go before methods.
pub fn member(value: &Value, path: &Value) -> Result<Value> {
    let Value::Text(text) = path else { return item(value, path) };
    let mut value = value.clone();
    for part in text.text.split('.') {
        let key = match part.parse() {
            Ok(index) if part.bytes().all(|one| one.is_ascii_digit()) => Value::Int(index),
            _ => Value::text(part),
        };
        value = item(&value, &key)?;
    }
    Ok(value)
}

/// A text in lower case, where letter case does not count.
fn folded(value: Value, case: bool) -> Value {
    match value {
        Value::Text(text) if !case => Value::text(text.text.to_lowercase()),
        other => other,
    }
}

fn sorted(
    values: Vec<Value>,
    case: bool,
    reverse: bool,
    key: impl Fn(&Value) -> Result<Value>,
    machine: &Machine,
) -> Result<Vec<Value>> {
    let mut keyed = Vec::with_capacity(values.len());
    for value in values {
        // Every key is compared with several others, and texts are copied without their case.
        let key = folded(key(&value)?, case);
        paid(&key, machine)?;
        keyed.push((key, value));
    }
    let mut fault = None;
    keyed.sort_by(|one, two| {
        let found = order(&one.0, &two.0).unwrap_or_else(|error| {
            fault.get_or_insert(error);
            None
        });
        let found = found.unwrap_or(std::cmp::Ordering::Equal);
        if reverse { found.reverse() } else { found }
    });
    match fault {
        Some(fault) => Err(fault),
        None => Ok(keyed.into_iter().map(|(_, value)| value).collect()),
    }
}
