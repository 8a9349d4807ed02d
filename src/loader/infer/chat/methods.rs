//! Python's methods that `minijinja-contrib` lacks or has in another way.

use minijinja::value::{Kwargs, Rest, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::budget::{
    ITEM_BYTES, PAIR_BYTES, counted, look, look_into, nested, spend, spend_times, take_apart,
};
use super::compare::{equal, hashable, is_tuple};
use super::escape::replaced;
use super::expression::SLICE;
use super::format::fields_bounded;
use super::lazy::{Range, View, is_namespace};
use super::texts::{capital, capitalized, lines};
use super::tokens::{is_space, unsupported};

/// Calls a method.
///
/// # Errors
/// If the value has no such method, or does not take these arguments.
pub fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    look(value)?;
    args.iter().try_for_each(look_into)?;
    if method == SLICE {
        return nested(counted(slice(value, args)?)?);
    }
    let lacks = |one: &Value| one.is_undefined();
    if value.as_str().is_some()
        && !["join", "format", "format_map"].contains(&method)
        && args.iter().any(lacks)
    {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let own = match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => of_text((text, value.is_safe()), method, args)?,
        (ValueKind::Map, _) if args.is_empty() => of_map(value, method)?,
        (ValueKind::Map, _) if method == "get" => {
            hashable(&args[0])?;
            // `pycompat` takes a default that is undefined for none.
            match args {
                [name, default] if default.is_undefined() => Some(value.get_item(name)?),
                _ => None,
            }
        }
        (ValueKind::Seq, _) if value.downcast_object_ref::<View>().is_some() => {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        (ValueKind::Seq, _) if ["count", "index"].contains(&method) => {
            Some(of_list(value, method, args)?)
        }
        _ => None,
    };
    counted(match own {
        Some(value) => value,
        None => pycompat::unknown_method_callback(state, value, method, args)?,
    })
}

/// `value[start:stop:step]`, as Python counts.
fn slice(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let (start, stop, step): (Option<i64>, Option<i64>, Option<i64>) = from_args(args)?;
    let step = step.unwrap_or(1);
    let invalid = |why: &str| Error::new(ErrorKind::InvalidOperation, why.to_owned());
    if args.iter().any(Value::is_undefined) {
        return Err(invalid("a slice between bounds that are undefined"));
    }
    if step == 0 {
        return Err(invalid("a slice whose step is 0"));
    }
    spend(value.as_str().map_or(0, str::len))?;
    let letters = value.as_str().map(|text| text.chars().collect::<Vec<char>>());
    let items: Vec<Value> = match (&letters, value.kind()) {
        (None, ValueKind::Seq) if value.downcast_object_ref::<View>().is_none() => {
            value.try_iter()?.collect()
        }
        (None, ValueKind::None | ValueKind::Map | ValueKind::Number | ValueKind::Bool)
            if !is_namespace(value) =>
        {
            return Ok(Value::UNDEFINED);
        }
        (None, kind) => return Err(invalid(&format!("a slice of a value of type {kind}"))),
        (Some(_), _) => Vec::new(),
    };
    let length = letters.as_ref().map_or(items.len(), Vec::len) as i64;
    let (least, most) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let within = |bound: i64| {
        let from_end = if bound < 0 { bound.saturating_add(length) } else { bound };
        from_end.clamp(least, most)
    };
    let (first, end) = if step > 0 { (0, length) } else { (length - 1, -1) };
    let mut at = start.map_or(first, within);
    let stop = stop.map_or(end, within);
    let at_first = at;
    let mut places = Vec::new();
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        places.push(at as usize);
        at = at.saturating_add(step);
    }
    if let Some(range) = value.downcast_object_ref::<Range>() {
        return Ok(Value::from_object(range.part(at_first, stop, step, places.len())));
    }
    Ok(match letters {
        Some(letters) => Value::from(places.iter().map(|at| letters[*at]).collect::<String>()),
        None => {
            let chosen = places.iter().map(|at| items[*at].clone()).collect::<Vec<Value>>();
            match is_tuple(value) {
                true => Value::from(minijinja::value::Tuple::from(chosen)),
                false => Value::from(chosen),
            }
        }
    })
}

fn of_list(list: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted,): (&Value,) = from_args(args)?;
    let mut found = 0;
    for (at, item) in list.try_iter()?.enumerate() {
        if !equal(&item, wanted)? {
            continue;
        }
        if method == "index" {
            return Ok(Value::from(at));
        }
        found += 1;
    }
    match method {
        "count" => Ok(Value::from(found)),
        _ => Err(Error::new(ErrorKind::InvalidOperation, "the value is not in the list")),
    }
}

fn of_map(map: &Value, method: &str) -> Result<Option<Value>, Error> {
    let (name, pick): (_, fn(Value, Value) -> Value) = match method {
        "keys" => ("dict_keys", |key, _| key),
        "values" => ("dict_values", |_, value| value),
        "items" => ("dict_items", |key, value| {
            Value::from(minijinja::value::Tuple::from(vec![key, value]))
        }),
        _ => return Ok(None),
    };
    spend_times(PAIR_BYTES, map.len().unwrap_or(0))?;
    let mut items = Vec::new();
    for key in map.try_iter()? {
        let value = map.get_item(&key)?;
        items.push(pick(key, value));
    }
    Ok(Some(Value::from_object(View { name, items })))
}

fn of_text(
    (text, marked): (&str, bool),
    method: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    let affix = || from_args::<(&str,)>(args).map(|(affix,)| affix);
    let stripped = || -> Result<Value, Error> {
        let (letters,): (Option<&str>,) = from_args(args)?;
        let strips = |one: char| letters.map_or(is_space(one), |letters| letters.contains(one));
        Ok(Value::from(match method {
            "strip" => text.trim_matches(strips),
            "lstrip" => text.trim_start_matches(strips),
            _ => text.trim_end_matches(strips),
        }))
    };
    if marked && ["split", "rsplit", "splitlines", "partition", "rpartition"].contains(&method) {
        return Err(unsupported(format!("{method} of a text that is marked as safe")));
    }
    Ok(Some(match method {
        "strip" | "lstrip" | "rstrip" => stripped()?,
        "replace" => {
            let (from, to, _): (&str, &str, Option<&Value>) = from_args(args)?;
            let count = args.get(2).map(|count| i64::try_from(count.clone())).transpose()?;
            Value::from(replaced(text, from, to, count)?)
        }
        "format" | "format_map" => {
            if marked {
                return Err(unsupported("format of a text that is marked as safe"));
            }
            fields_bounded(text, args)?;
            return Ok(None);
        }
        "removeprefix" => Value::from(text.strip_prefix(affix()?).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(affix()?).unwrap_or(text)),
        "title" if args.is_empty() => Value::from(titled(text)),
        "capitalize" if args.is_empty() => Value::from(capitalized(text)),
        "startswith" | "endswith"
            if args.first().is_some_and(|one| one.kind() == ValueKind::Seq && !is_tuple(one)) =>
        {
            let why = format!("{method}: the argument is a text or a tuple of texts");
            return Err(Error::new(ErrorKind::InvalidOperation, why));
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let lacking = width.saturating_sub(text.chars().count());
            spend(lacking)?;
            let sign = usize::from(text.starts_with(['+', '-']));
            Value::from(format!("{}{}{}", &text[..sign], "0".repeat(lacking), &text[sign..]))
        }
        "partition" | "rpartition" => {
            let mark = affix()?;
            if mark.is_empty() {
                let why = format!("{method}: the separator is not empty");
                return Err(Error::new(ErrorKind::InvalidOperation, why));
            }
            let (found, lost) = match method {
                "partition" => (text.split_once(mark), [text, "", ""]),
                _ => (text.rsplit_once(mark), ["", "", text]),
            };
            let parts = found.map_or(lost, |(before, after)| [before, mark, after]);
            let parts: Vec<Value> = parts.into_iter().map(Value::from).collect();
            Value::from(minijinja::value::Tuple::from(parts))
        }
        "split" | "rsplit" => split(text, method == "rsplit", args)?,
        "join" => {
            let (parts,): (&Value,) = from_args(args)?;
            if parts.is_none() {
                return Err(Error::new(ErrorKind::InvalidOperation, "join of none"));
            }
            take_apart(parts)?;
            let mut texts = Vec::new();
            for part in parts.try_iter()? {
                match part.as_str() {
                    Some(text) => {
                        spend(text.len())?;
                        texts.push(text.to_owned());
                    }
                    None => {
                        let why = format!("join: expected texts, found {}", part.kind());
                        return Err(Error::new(ErrorKind::InvalidOperation, why));
                    }
                }
            }
            spend_times(text.len(), texts.len())?;
            spend(texts.iter().map(String::len).sum())?;
            Value::from(texts.join(text))
        }
        "splitlines" => {
            let ends = text.chars().filter(|one| one.is_control() || one.is_whitespace()).count();
            spend_times(ITEM_BYTES, ends + 1)?;
            let (keep, named): (Option<Value>, Kwargs) = from_args(args)?;
            let named: Option<Value> = named.get("keepends")?;
            let keeps = keep.or(named).is_some_and(|keep| keep.is_true());
            let line = |(line, end): (&str, &str)| match keeps {
                true => Value::from(format!("{line}{end}")),
                false => Value::from(line),
            };
            Value::from(lines(text).into_iter().map(line).collect::<Vec<_>>())
        }
        _ => return Ok(None),
    }))
}

fn split(text: &str, right: bool, args: &[Value]) -> Result<Value, Error> {
    let (places, named): (Rest<Value>, Kwargs) = from_args(args)?;
    let argument = |at: usize, name: &str| -> Result<Option<Value>, Error> {
        let named: Option<Value> = named.get(name)?;
        Ok(places.get(at).cloned().or(named))
    };
    let mark = argument(0, "sep")?.filter(|mark| !mark.is_none());
    let most = argument(1, "maxsplit")?;
    named.assert_all_used()?;
    let most = most.map_or(Ok(-1), i64::try_from)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let invalid = |why: &str| Error::new(ErrorKind::InvalidOperation, why.to_owned());
    let mut parts: Vec<String> = match mark {
        Some(mark) => {
            let mark = mark.as_str().filter(|mark| !mark.is_empty());
            let mark = mark.ok_or_else(|| invalid("split: the separator is a text"))?;
            let pieces = most.saturating_add(1);
            spend_times(2 * ITEM_BYTES, text.matches(mark).count().min(most) + 1)?;
            match right {
                true => text.rsplitn(pieces, mark).map(str::to_owned).collect(),
                false => text.splitn(pieces, mark).map(str::to_owned).collect(),
            }
        }
        None => {
            spend_times(2 * ITEM_BYTES, text.split(is_space).count().min(most) + 1)?;
            words(text, right, most)
        }
    };
    if right {
        parts.reverse();
    }
    Ok(Value::from(parts))
}

/// Words between white space. From the right, the last word is the first one.
fn words(text: &str, right: bool, most: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        rest = match right {
            true => rest.trim_end_matches(is_space),
            false => rest.trim_start_matches(is_space),
        };
        if rest.is_empty() {
            return parts;
        }
        // Python keeps the white space at the far end of what it no longer splits.
        let at = if right { rest.rfind(is_space) } else { rest.find(is_space) };
        match at.filter(|_| parts.len() < most) {
            Some(at) if right => {
                let gap = rest[at..].chars().next().map_or(0, char::len_utf8);
                parts.push(rest[at + gap..].to_owned());
                rest = &rest[..at];
            }
            Some(at) => {
                parts.push(rest[..at].to_owned());
                rest = &rest[at..];
            }
            None => {
                parts.push(rest.to_owned());
                return parts;
            }
        }
    }
}

/// Python's `str.title`: every run of letters begins with a capital.
fn titled(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    let lower = text.to_lowercase();
    let mut rest = lower.as_str();
    for letter in text.chars() {
        let (small, after) = rest.split_at(letter.to_lowercase().to_string().len());
        rest = after;
        match inside {
            true => out.push_str(small),
            false => out.push_str(&capital(letter)),
        }
        inside = letter.is_uppercase() || letter.is_lowercase();
    }
    out
}
