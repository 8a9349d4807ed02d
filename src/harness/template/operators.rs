//! Python's operators.

use std::cmp::Ordering;

use super::fault::{Result, failed, unknown};
use super::held::ITEM;
use super::machine::Machine;
use super::percent::percent;
use super::value::{Kind, Text, Value};

/// `a + b` and the like.
pub fn binary(operator: &str, one: &Value, two: &Value, machine: &Machine) -> Result<Value> {
    let set = |value: &Value| matches!(value, Value::Sequence(Kind::Keys | Kind::Items, _));
    if operator == "-" && (set(one) || set(two)) {
        return unknown("a difference of the keys of a dict");
    }
    let percent_of = operator == "%" && one.as_text().is_some();
    for value in [one, two] {
        if let (Value::Undefined(why), false) = (value, percent_of) {
            return failed(why.to_string());
        }
    }
    let wrong = || {
        let (one, two) = (one.kind(), two.kind());
        failed(format!("unsupported operand type(s) for {operator}: '{one}' and '{two}'"))
    };
    match (operator, one, two) {
        ("+", Value::Text(one), Value::Text(two)) => added(one, two, machine),
        ("+", Value::Sequence(Kind::List, one), Value::Sequence(Kind::List, two)) => {
            machine.spend_times(ITEM, one.len() + two.len())?;
            Ok(Value::list([one.as_slice(), two.as_slice()].concat()))
        }
        ("+", Value::Sequence(Kind::Tuple, one), Value::Sequence(Kind::Tuple, two)) => {
            machine.spend_times(ITEM, one.len() + two.len())?;
            Ok(Value::tuple([one.as_slice(), two.as_slice()].concat()))
        }
        ("%", Value::Text(Text { safe: true, .. }), _) => unknown("% of Markup"),
        ("%", Value::Text(form), _) => percent(&form.text, two, machine),
        ("*", Value::Text(text), times) | ("*", times, Value::Text(text))
            if times.as_int().is_some() =>
        {
            let times = often(times);
            machine.spend(text.text.len().saturating_mul(times))?;
            let repeated = text.text.repeat(times);
            Ok(Value::Text(Text { text: repeated.into(), safe: text.safe }))
        }
        ("*", Value::Sequence(kind @ (Kind::List | Kind::Tuple), items), times)
        | ("*", times, Value::Sequence(kind @ (Kind::List | Kind::Tuple), items))
            if times.as_int().is_some() =>
        {
            let length = items.len().saturating_mul(often(times));
            machine.spend_times(ITEM, length)?;
            let repeated: Vec<Value> = items.iter().cycle().take(length).cloned().collect();
            Ok(Value::Sequence(*kind, repeated.into()))
        }
        _ => match (one.as_int(), two.as_int()) {
            (Some(one), Some(two)) => whole(operator, one, two),
            _ => match (one.as_float(), two.as_float()) {
                (Some(one), Some(two)) => real(operator, one, two),
                _ => wrong(),
            },
        },
    }
}

/// How many times something is repeated.
fn often(times: &Value) -> usize {
    times.as_int().and_then(|times| usize::try_from(times).ok()).unwrap_or(0)
}

/// Every integer up to this one is a float too.
const EXACT: u64 = 1 << 53;

fn whole(operator: &str, one: i64, two: i64) -> Result<Value> {
    if two == 0 && ["/", "//", "%"].contains(&operator) {
        return failed("division by zero");
    }
    let value = match operator {
        "+" => one.checked_add(two),
        "-" => one.checked_sub(two),
        "*" => one.checked_mul(two),
        "/" if one.unsigned_abs().max(two.unsigned_abs()) > EXACT => {
            return unknown("a quotient of integers beyond 53 bits");
        }
        "/" => return Ok(Value::Float(one as f64 / two as f64)),
        "//" => one
            .checked_div(two)
            .map(|quotient| quotient - i64::from(one % two != 0 && (one < 0) != (two < 0))),
        "%" => one
            .checked_rem(two)
            .map(|rest| if rest != 0 && (rest < 0) != (two < 0) { rest + two } else { rest }),
        _ => match u32::try_from(two) {
            Ok(power) => one.checked_pow(power),
            Err(_) if two < 0 => return power(one as f64, two as f64).map(Value::Float),
            Err(_) => None,
        },
    };
    value.map_or_else(beyond, |value| Ok(Value::Int(value)))
}

/// A number that this interpreter does not hold, because Python's integers have no end.
pub fn beyond<T>() -> Result<T> {
    unknown("an integer beyond 64 bits")
}

fn real(operator: &str, one: f64, two: f64) -> Result<Value> {
    if two == 0.0 && ["/", "//", "%"].contains(&operator) {
        return failed("float division by zero");
    }
    Ok(Value::Float(match operator {
        "+" => one + two,
        "-" => one - two,
        "*" => one * two,
        "/" => one / two,
        "//" => floored(one, two),
        "%" => rest(one, two),
        _ => power(one, two)?,
    }))
}

/// A division without what it leaves over, as Python does it: the quotient itself may have been rounded up
/// to the next whole number.
fn floored(one: f64, two: f64) -> f64 {
    let rest = one % two;
    let other_side = rest != 0.0 && (rest < 0.0) != (two < 0.0);
    let quotient = (one - rest) / two - f64::from(u8::from(other_side));
    if quotient == 0.0 {
        return 0f64.copysign(one / two);
    }
    let down = quotient.floor();
    if quotient - down > 0.5 { down + 1.0 } else { down }
}

/// What a division leaves over; it has the sign of the divisor.
fn rest(one: f64, two: f64) -> f64 {
    match one % two {
        rest if rest != 0.0 && (rest < 0.0) != (two < 0.0) => rest + two,
        rest if rest == 0.0 => rest.copysign(two),
        rest => rest,
    }
}

/// A power, where Python has one among its floats.
fn power(one: f64, two: f64) -> Result<f64> {
    if one == 0.0 && two < 0.0 {
        return failed("zero cannot be raised to a negative power");
    }
    let value = one.powf(two);
    let finite = one.is_finite() && two.is_finite();
    match finite && !value.is_finite() {
        true if value.is_nan() => unknown("a complex number"),
        true => failed("Numerical result out of range"),
        false => Ok(value),
    }
}

/// `-a` and `+a`.
pub fn signed(minus: bool, value: &Value) -> Result<Value> {
    match value {
        Value::Undefined(why) => failed(why.to_string()),
        Value::Float(value) => Ok(Value::Float(if minus { -value } else { *value })),
        other => match other.as_int() {
            Some(value) if minus => {
                value.checked_neg().map_or_else(beyond, |value| Ok(Value::Int(value)))
            }
            Some(value) => Ok(Value::Int(value)),
            None => failed(format!("bad operand type for unary operator: '{}'", other.kind())),
        },
    }
}

/// Two texts one after the other. If one is `Markup`, so is the result, and the other is escaped.
fn added(one: &Text, two: &Text, machine: &Machine) -> Result<Value> {
    let safe = one.safe || two.safe;
    let mut out = String::new();
    for part in [one, two] {
        machine.spend(part.text.len())?;
        match safe && !part.safe {
            true => out.push_str(&escaped(&part.text)),
            false => out.push_str(&part.text),
        }
    }
    machine.holds(&out)?;
    Ok(Value::Text(Text { text: out.into(), safe }))
}

/// A text escaped for HTML as `markupsafe` does it.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

/// `a < b` and the like, `in` and `not in`.
pub fn compare(operator: &str, one: &Value, two: &Value, machine: &Machine) -> Result<bool> {
    match (one.as_text(), two.as_text()) {
        (Some(_), Some(whole)) if operator.ends_with("in") => machine.look(whole.len())?,
        (Some(one), Some(two)) => machine.look(one.len().min(two.len()))?,
        _ => {
            machine.look_into(one)?;
            machine.look_into(two)?;
        }
    }
    Ok(match operator {
        "==" => one.equals(two),
        "!=" => !one.equals(two),
        "in" => contains(two, one)?,
        "not in" => !contains(two, one)?,
        "<" => order(one, two)? == Some(Ordering::Less),
        ">" => order(one, two)? == Some(Ordering::Greater),
        "<=" => order(one, two)?.is_some_and(Ordering::is_le),
        _ => order(one, two)?.is_some_and(Ordering::is_ge),
    })
}

/// The order of two values; none where one is not a number.
pub fn order(one: &Value, two: &Value) -> Result<Option<Ordering>> {
    for value in [one, two] {
        if let Value::Undefined(why) = value {
            return failed(why.to_string());
        }
    }
    match (one, two) {
        (Value::Text(one), Value::Text(two)) => Ok(Some(one.text.chars().cmp(two.text.chars()))),
        (Value::Sequence(a, ones), Value::Sequence(b, twos))
            if a == b && matches!(a, Kind::List | Kind::Tuple) =>
        {
            for (one, two) in ones.iter().zip(twos.iter()) {
                if !one.equals(two) {
                    return order(one, two);
                }
            }
            Ok(Some(ones.len().cmp(&twos.len())))
        }
        (
            Value::Sequence(Kind::Keys | Kind::Items, _),
            Value::Sequence(Kind::Keys | Kind::Items, _),
        ) => unknown("an order of the keys of a dict"),
        _ => match one.order(two) {
            Some(found) => Ok(found),
            None => {
                let (one, two) = (one.kind(), two.kind());
                failed(format!("'<' not supported between instances of '{one}' and '{two}'"))
            }
        },
    }
}

/// `value in whole`.
pub fn contains(whole: &Value, value: &Value) -> Result<bool> {
    match whole {
        Value::Text(text) => match value {
            Value::Text(part) => Ok(text.text.contains(&*part.text)),
            other => {
                let kind = other.kind();
                failed(format!("'in <string>' requires string as left operand, not {kind}"))
            }
        },
        Value::Map(map) => value.hashable().map(|()| map.get(value).is_some()),
        Value::Sequence(kind, items) => {
            if let Kind::Keys = kind {
                value.hashable()?;
            }
            Ok(items.iter().any(|item| item.equals(value)))
        }
        // What stands behind the value that is found stays in the generator.
        Value::Once(left) => {
            let mut left = left.borrow_mut();
            let at = left.iter().position(|item| item.equals(value));
            let taken = at.map_or(left.len(), |at| at + 1);
            left.drain(..taken);
            Ok(at.is_some())
        }
        Value::Undefined(_) => Ok(false),
        other => failed(format!("argument of type '{}' is not iterable", other.kind())),
    }
}
