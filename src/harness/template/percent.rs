//! Texts with places: `'%s' % value` and `'{}'.format(value)`.

use super::fault::{Result, failed, unknown};
use super::machine::Machine;
use super::text::{shown, written};
use super::value::{Arguments, Kind, Value};

/// `form % value`.
pub fn percent(form: &str, value: &Value, machine: &Machine) -> Result<Value> {
    let mut values = match value {
        Value::Sequence(Kind::Tuple, items) => items.to_vec(),
        Value::Map(_) => return unknown("% with a dict"),
        other => vec![other.clone()],
    }
    .into_iter();
    let mut out = String::new();
    let mut letters = form.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let rest = letters.as_str();
        let end = rest.find(|one: char| !"-0123456789.+# ".contains(one)).unwrap_or(rest.len());
        let (flags, code) = (&rest[..end], rest[end..].chars().next());
        letters = rest[end + code.map_or(0, char::len_utf8)..].chars();
        if code == Some('%') && flags.is_empty() {
            out.push('%');
            continue;
        }
        let Some(value) = values.next() else {
            return failed("not enough arguments for format string");
        };
        let precision = flags.strip_prefix('.').and_then(|digits| digits.parse::<usize>().ok());
        out.push_str(&match (code, flags) {
            (Some('s'), "") => written(&value, machine)?,
            (Some('r'), "") => shown(&value, machine)?,
            (Some('d' | 'i'), "") => match (value.as_int(), &value) {
                (Some(value), _) => value.to_string(),
                // The sum is no minus zero.
                (None, Value::Float(value)) if value.is_finite() => {
                    format!("{:.0}", value.trunc() + 0.0)
                }
                _ => return failed("%d format: a real number is required"),
            },
            (Some('f'), _) if flags.is_empty() || precision.is_some_and(|one| one <= 30) => {
                match value.as_float().filter(|value| value.is_finite()) {
                    Some(value) => format!("{value:.*}", precision.unwrap_or(6)),
                    None => return unknown("%f of no finite number"),
                }
            }
            _ => {
                let code = code.map(String::from).unwrap_or_default();
                return unknown(format!("the format %{flags}{code}"));
            }
        });
        machine.holds(&out)?;
    }
    // Python does not ask whether all of a list was used.
    let listed =
        matches!(value, Value::Sequence(Kind::List | Kind::Range, _) | Value::Undefined(_));
    if values.next().is_some() && !listed {
        return failed("not all arguments converted during string formatting");
    }
    Ok(Value::text(out))
}

/// `form.format(...)`, with plain places alone.
pub fn braces(form: &str, arguments: &Arguments, machine: &Machine) -> Result<Value> {
    let mut out = String::new();
    let mut rest = form;
    let (mut next, mut numbered) = (0, false);
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        let end = rest.find('}').filter(|_| brace == "{");
        let Some(end) = end else { return failed("Single brace encountered in format string") };
        let place = &rest[..end];
        rest = &rest[end + 1..];
        let value = if place.is_empty() {
            next += 1;
            arguments.positional.get(next - 1)
        } else if let Ok(index) = place.parse::<usize>() {
            numbered = true;
            arguments.positional.get(index)
        } else if place.chars().all(|one| one == '_' || one.is_alphanumeric()) {
            arguments.named.iter().find(|(name, _)| name == place).map(|(_, value)| value)
        } else {
            return unknown(format!("the format {{{place}}}"));
        };
        if numbered && next > 0 {
            return failed("cannot switch between manual and automatic field numbering");
        }
        match value {
            Some(value) => out.push_str(&written(value, machine)?),
            None => return failed(format!("nothing for the place {{{place}}}")),
        }
        machine.holds(&out)?;
    }
    out.push_str(rest);
    Ok(Value::text(out))
}
