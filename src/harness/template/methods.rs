//! Methods of texts, lists and dicts.

use super::arguments::{integer, needed, word};
use super::fault::{Result, failed, unknown};
use super::held::ITEM;
use super::machine::Machine;
use super::percent::braces;
use super::splits::{line_ends, parts_of, split, split_lines, split_right};
use super::text::{is_space, items};
use super::value::{Arguments, Kind, Map, Value};

/// Calls a method.
pub fn call(of: &Value, name: &str, arguments: Arguments, machine: &Machine) -> Result<Value> {
    machine.step()?;
    match of {
        Value::Text(text) if text.safe => unknown(format!("the method {name} of Markup")),
        Value::Text(text) => of_text(&text.text, name, arguments, machine),
        Value::Map(map) => {
            let copies = if ["get", "copy"].contains(&name) { 0 } else { 3 * ITEM };
            machine.spend_times(copies, map.0.len())?;
            machine.look(map.0.len())?;
            of_map(map, name, arguments)
        }
        Value::Sequence(_, items) => {
            machine.look_into(of)?;
            for value in &arguments.positional {
                machine.look_into(value)?;
            }
            machine.spend_times(if name == "copy" { ITEM } else { 1 }, items.len())?;
            of_list(items, name, arguments)
        }
        other => unknown(format!("the method {name} of {}", other.kind())),
    }
}

fn of_map(map: &Map, name: &str, arguments: Arguments) -> Result<Value> {
    let view = |kind, one: fn(&(Value, Value)) -> Value| {
        Value::Sequence(kind, map.0.iter().map(one).collect::<Vec<_>>().into())
    };
    match name {
        "get" => {
            if !arguments.named.is_empty() {
                return failed("dict.get() takes no keyword arguments");
            }
            let [key, default] = arguments.bind(name, ["key", "default"])?;
            let key = needed(key, "get")?;
            key.hashable()?;
            Ok(map.get(&key).cloned().or(default).unwrap_or(Value::None))
        }
        "items" => {
            arguments.none(name)?;
            let pair =
                |(key, value): &(Value, Value)| Value::tuple(vec![key.clone(), value.clone()]);
            Ok(view(Kind::Items, pair))
        }
        "keys" => {
            arguments.none(name)?;
            Ok(view(Kind::Keys, |(key, _)| key.clone()))
        }
        "values" => {
            arguments.none(name)?;
            Ok(view(Kind::Values, |(_, value)| value.clone()))
        }
        "copy" => {
            arguments.none(name)?;
            Ok(Value::map(map.clone()))
        }
        _ => unknown(format!("the method {name} of dict")),
    }
}

fn of_list(list: &[Value], name: &str, arguments: Arguments) -> Result<Value> {
    match name {
        "count" => {
            let [value] = arguments.bind(name, ["value"])?;
            let value = needed(value, name)?;
            Ok(Value::Int(list.iter().filter(|item| item.equals(&value)).count() as i64))
        }
        "index" => {
            let [value] = plainly(name, arguments)?;
            let value = needed(value, name)?;
            match list.iter().position(|item| item.equals(&value)) {
                Some(at) => Ok(Value::Int(at as i64)),
                None => failed("the value is not in the list"),
            }
        }
        // The third method that does not change a list is `copy`.
        _ => {
            arguments.none(name)?;
            Ok(Value::list(list.to_vec()))
        }
    }
}

fn of_text(text: &str, name: &str, arguments: Arguments, machine: &Machine) -> Result<Value> {
    machine.spend(text.len())?;
    let plain = |arguments: Arguments, value: String| {
        arguments.none(name)?;
        Ok(Value::text(value))
    };
    match name {
        "upper" => plain(arguments, text.to_uppercase()),
        "lower" => plain(arguments, text.to_lowercase()),
        "capitalize" => plain(arguments, capitalized(text)?),
        "title" => plain(arguments, titled(text)?),
        "strip" | "lstrip" | "rstrip" => {
            let [letters] = plainly(name, arguments)?;
            Ok(Value::text(stripped(text, name, word(letters, name)?)))
        }
        "split" | "rsplit" => {
            let [sep, most] = arguments.bind(name, ["sep", "maxsplit"])?;
            let (sep, most) = (word(sep, name)?, integer(most, name)?.unwrap_or(-1));
            if sep.as_deref() == Some("") {
                return failed("empty separator");
            }
            machine.spend_times(2 * ITEM, parts_of(text, sep.as_deref()))?;
            let parts = match name {
                "split" => split(text, sep.as_deref(), most),
                _ => split_right(text, sep.as_deref(), most),
            };
            Ok(Value::list(parts.into_iter().map(Value::text).collect()))
        }
        "splitlines" => {
            let [keep] = arguments.bind(name, ["keepends"])?;
            let keep = keep.is_some_and(|keep| keep.is_true());
            machine.spend_times(2 * ITEM, line_ends(text) + 1)?;
            Ok(Value::list(split_lines(text, keep).into_iter().map(Value::text).collect()))
        }
        "partition" | "rpartition" => {
            let [sep] = arguments.bind(name, ["sep"])?;
            let Some(sep) = word(sep, name)?.filter(|sep| !sep.is_empty()) else {
                return failed("empty separator");
            };
            let (parts, lost) = match name {
                "partition" => (text.split_once(&*sep), [text, "", ""]),
                _ => (text.rsplit_once(&*sep), ["", "", text]),
            };
            let parts = parts.map_or(lost, |(one, two)| [one, &sep, two]);
            Ok(Value::tuple(parts.into_iter().map(Value::text).collect()))
        }
        "startswith" | "endswith" => {
            let [affix] = plainly(name, arguments)?;
            let affixes = match needed(affix, name)? {
                Value::Sequence(Kind::Tuple, all) => all.to_vec(),
                one => vec![one],
            };
            for affix in affixes {
                let Some(affix) = affix.as_text() else {
                    return failed(format!("{name} first arg must be str or a tuple of str"));
                };
                let found = match name {
                    "startswith" => text.starts_with(affix),
                    _ => text.ends_with(affix),
                };
                if found {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        "removeprefix" | "removesuffix" => {
            let [affix] = plainly(name, arguments)?;
            let affix = needed_word(affix, name)?;
            let left = match name {
                "removeprefix" => text.strip_prefix(&*affix),
                _ => text.strip_suffix(&*affix),
            };
            Ok(Value::text(left.unwrap_or(text)))
        }
        "find" | "rfind" | "index" | "rindex" => {
            let [part] = plainly(name, arguments)?;
            let part = needed_word(part, name)?;
            let at = if name.starts_with('r') { text.rfind(&*part) } else { text.find(&*part) };
            match at {
                Some(at) => Ok(Value::Int(text[..at].chars().count() as i64)),
                None if name.ends_with("find") => Ok(Value::Int(-1)),
                None => failed("substring not found"),
            }
        }
        "count" => {
            let [part] = plainly(name, arguments)?;
            let part = needed_word(part, name)?;
            let count = match part.is_empty() {
                true => text.chars().count() + 1,
                false => text.matches(&*part).count(),
            };
            Ok(Value::Int(count as i64))
        }
        "replace" => {
            let [old, new, count] = arguments.bind(name, ["old", "new", "count"])?;
            let (old, new) = (needed_word(old, name)?, needed_word(new, name)?);
            replaced(text, &old, &new, integer(count, name)?, machine)
        }
        "join" => {
            let [parts] = plainly(name, arguments)?;
            let mut out = Vec::new();
            for part in items(&needed(parts, name)?, machine)? {
                match part.as_text() {
                    Some(part) => {
                        machine.spend(part.len().saturating_add(text.len()))?;
                        out.push(part.to_owned());
                    }
                    None => {
                        let kind = part.kind();
                        return failed(format!("expected str instance, {kind} found"));
                    }
                }
            }
            Ok(Value::text(out.join(text)))
        }
        "format" => braces(text, &arguments, machine),
        "zfill" | "ljust" | "rjust" => {
            let [width, fill] = arguments.bind(name, ["width", "fillchar"])?;
            let width = usize::try_from(integer(width, name)?.unwrap_or(0)).unwrap_or(0);
            let lacking = width.saturating_sub(text.chars().count());
            let fill = word(fill, name)?.unwrap_or_else(|| " ".to_owned());
            if fill.chars().count() != 1 {
                return failed("The fill character must be exactly one character long");
            }
            machine.spend_times(fill.len().max(1), lacking)?;
            let fill = fill.repeat(lacking);
            Ok(Value::text(match name {
                "ljust" => format!("{text}{fill}"),
                "rjust" => format!("{fill}{text}"),
                _ => {
                    let sign = usize::from(text.starts_with(['+', '-']));
                    format!("{}{}{}", &text[..sign], "0".repeat(lacking), &text[sign..])
                }
            }))
        }
        "isascii" => {
            arguments.none(name)?;
            Ok(Value::Bool(text.is_ascii()))
        }
        "isspace" => {
            arguments.none(name)?;
            Ok(Value::Bool(!text.is_empty() && text.chars().all(is_space)))
        }
        "isdigit" | "isdecimal" | "isnumeric" | "isalpha" | "isalnum" | "isupper" | "islower"
            if text.is_ascii() =>
        {
            arguments.none(name)?;
            let all = |is: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|one| is(&one));
            let some = |is: fn(&u8) -> bool| text.bytes().any(|one| is(&one));
            Ok(Value::Bool(match name {
                "isalpha" => all(u8::is_ascii_alphabetic),
                "isalnum" => all(u8::is_ascii_alphanumeric),
                "isupper" => some(u8::is_ascii_uppercase) && !some(u8::is_ascii_lowercase),
                "islower" => some(u8::is_ascii_lowercase) && !some(u8::is_ascii_uppercase),
                _ => all(u8::is_ascii_digit),
            }))
        }
        _ => unknown(format!("the method {name} of str")),
    }
}

/// One argument. Python takes two more, which no template needs.
fn plainly(name: &str, arguments: Arguments) -> Result<[Option<Value>; 1]> {
    if arguments.positional.len() > 1 {
        return unknown(format!("the method {name} with a range"));
    }
    if !arguments.named.is_empty() {
        return failed(format!("{name}() takes no keyword arguments"));
    }
    arguments.bind(name, ["value"])
}

fn needed_word(value: Option<Value>, of: &str) -> Result<String> {
    match word(value, of)? {
        Some(word) => Ok(word),
        None => failed(format!("{of}() argument must be str, not None")),
    }
}

/// A text without white space, or certain letters, at one end or both.
pub fn stripped(text: &str, name: &str, letters: Option<String>) -> String {
    let goes = |letter: char| match &letters {
        Some(letters) => letters.contains(letter),
        None => is_space(letter),
    };
    match name {
        "lstrip" => text.trim_start_matches(goes),
        "rstrip" => text.trim_end_matches(goes),
        _ => text.trim_matches(goes),
    }
    .to_owned()
}

/// A text with parts replaced, from its start, at most so many.
pub fn replaced(
    text: &str,
    old: &str,
    new: &str,
    count: Option<i64>,
    machine: &Machine,
) -> Result<Value> {
    let found = if old.is_empty() { text.len() + 1 } else { text.matches(old).count() };
    machine.spend(text.len().saturating_add(found.saturating_mul(new.len())))?;
    let replaced = match count.and_then(|count| usize::try_from(count).ok()) {
        Some(count) => text.replacen(old, new, count),
        None => text.replace(old, new),
    };
    Ok(Value::text(replaced))
}

/// The capital form of a letter, where it is one letter.
fn capital(letter: char) -> Result<char> {
    let mut upper = letter.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => Ok(one),
        _ => unknown(format!("the capital form of '{letter}'")),
    }
}

/// `str.capitalize`.
pub fn capitalized(text: &str) -> Result<String> {
    let lower = text.to_lowercase();
    match text.chars().next() {
        None => Ok(lower),
        // The small form of a letter depends on what stands before it.
        Some(first) => {
            Ok(format!("{}{}", capital(first)?, &lower[first.to_lowercase().to_string().len()..]))
        }
    }
}

/// `str.title`: every run of letters begins with a capital.
fn titled(text: &str) -> Result<String> {
    let lower = text.to_lowercase();
    let mut rest = lower.as_str();
    let mut out = String::new();
    let mut inside = false;
    for letter in text.chars() {
        let (small, after) = rest.split_at(letter.to_lowercase().to_string().len());
        rest = after;
        let cased = letter.is_uppercase() || letter.is_lowercase();
        match (cased, inside) {
            (true, false) => out.push(capital(letter)?),
            (true, true) => out.push_str(small),
            _ => out.push(letter),
        }
        inside = cased;
    }
    Ok(out)
}
