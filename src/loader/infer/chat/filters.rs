//! Jinja's filters and tests where `minijinja` has them in another way.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, Value};

use super::budget::look;
use super::compare::{equal, ordered, whole, within};
use super::escape::escaped;
use super::lazy::{View, is_namespace, is_of};
use super::operators::integer;
use super::python::written;
use super::tokens::{is_space, unsupported};
use super::vocabulary::{FILTERS, TESTS, has};

/// Two names of a test, and which orders of its operands it holds for.
type Order = (&'static str, &'static str, fn(Ordering) -> bool);

/// Puts them into an environment.
pub fn define(environment: &mut Environment<'static>) {
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_filter("string", |value: &Value| -> Result<Value, Error> {
        Ok(match value.as_str() {
            Some(_) => value.clone(),
            None => Value::from(written(value)?),
        })
    });
    for name in ["e", "escape"] {
        environment.add_filter(name, escaped);
    }
    environment.add_filter("forceescape", |value: &Value| escaped(&Value::from(written(value)?)));
    for name in [
        "center",
        "filesizeformat",
        "random",
        "striptags",
        "truncate",
        "urlencode",
        "urlize",
        "wordcount",
        "wordwrap",
        "xmlattr",
    ] {
        environment.add_filter(name, move |_: Rest<ValueOrKwargs>| {
            Err::<Value, Error>(unsupported(format!("the filter {name}")))
        });
    }
    for name in ["split", "lines", "bool", "zip", "chain"] {
        environment.remove_filter(name);
    }
    for name in ["startingwith", "endingwith", "containing", "safe"] {
        environment.remove_test(name);
    }
    environment.add_test("filter", |name: &str| has(FILTERS, name));
    environment.add_test("test", |name: &str| has(TESTS, name));
    environment.add_test("mapping", |value: &Value| {
        value.kind() == ValueKind::Map && !is_namespace(value)
    });
    environment.add_test("lower", |value: &Value| {
        look(value)?;
        let text = written(value)?;
        Ok::<bool, Error>(
            text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase),
        )
    });
    environment.add_test("upper", |value: &Value| {
        look(value)?;
        let text = written(value)?;
        Ok::<bool, Error>(
            text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase),
        )
    });
    for name in ["eq", "equalto"] {
        environment.add_test(name, equal);
    }
    environment.add_test("sameas", |one: &Value, two: &Value| {
        // Whether they come of one look-up is not known.
        match one.is_undefined() && two.is_undefined() {
            true => Err(unsupported("sameas of two undefined values")),
            false => Ok(minijinja::tests::is_sameas(one, two)),
        }
    });
    environment.add_test("ne", |one: &Value, two: &Value| equal(one, two).map(|is| !is));
    let orders: [Order; 8] = [
        ("lt", "<", Ordering::is_lt),
        ("lessthan", "<", Ordering::is_lt),
        ("le", "<=", Ordering::is_le),
        ("gt", ">", Ordering::is_gt),
        ("greaterthan", ">", Ordering::is_gt),
        ("ge", ">=", Ordering::is_ge),
        ("<", "<", Ordering::is_lt),
        (">", ">", Ordering::is_gt),
    ];
    for (name, sign, holds) in orders {
        environment.add_test(name, move |one: &Value, two: &Value| {
            ordered(sign, one, two).map(|order| order.is_some_and(holds))
        });
    }
    environment.add_test("in", within);
    environment.add_test("odd", |value: &Value| rest(value, 2).map(|rest| rest == 1));
    environment.add_test("even", |value: &Value| rest(value, 2).map(|rest| rest == 0));
    environment.add_test("divisibleby", |value: &Value, by: i64| {
        if by == 0 {
            return Err(Error::new(ErrorKind::InvalidOperation, "divisibleby 0"));
        }
        rest(value, by).map(|rest| rest == 0)
    });
    environment.remove_global("debug");
    // Jinja has these, so a template may ask whether they are there.
    for name in ["cycler", "joiner", "lipsum"] {
        environment.add_function(name, move |_: Rest<ValueOrKwargs>| {
            Err::<Value, Error>(unsupported(name))
        });
    }
    environment.add_filter("round", round);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_test("callable", |value: &Value| {
        matches!(value.kind(), ValueKind::Plain | ValueKind::Undefined)
            || is_of(value, &["Loop", "Macro"])
    });
    environment.add_test("iterable", |value: &Value| {
        let single = matches!(
            value.kind(),
            ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::Plain
        );
        !single && !is_of(value, &["Namespace", "Macro"])
    });
    environment.add_test("sequence", |value: &Value| {
        let sequence = matches!(
            value.kind(),
            ValueKind::Undefined | ValueKind::String | ValueKind::Seq | ValueKind::Map
        );
        sequence && !is_namespace(value) && value.downcast_object_ref::<View>().is_none()
    });
}

fn default(value: &Value, places: Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    // None is a value like any other here.
    let named_other = named.has("default_value").then(|| named.get("default_value")).transpose()?;
    let other = places.first().cloned().or(named_other).unwrap_or_else(|| Value::from(""));
    let falsely = places.get(1).map(Value::is_true).or(named.get("boolean")?).unwrap_or(false);
    if places.len() > 2 {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    named.assert_all_used()?;
    let lacks = value.is_undefined() || (falsely && !value.is_true());
    Ok(if lacks { other } else { value.clone() })
}

/// The rest of a whole number.
fn rest(value: &Value, by: i64) -> Result<i128, Error> {
    match whole(value) {
        Some(number) => Ok(number.rem_euclid(i128::from(by))),
        None => {
            let why = format!("the rest of a value of type {}", value.kind());
            Err(Error::new(ErrorKind::InvalidOperation, why))
        }
    }
}

/// The largest power of ten that is exact as a float.
const EXACT_POWER: i32 = 22;

/// Jinja's `round`. Up and down give floats, also of whole numbers.
fn round(value: &Value, all: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let [precision, method] = arguments(all, ["precision", "method"])?;
    let places = precision.map_or(Ok(0), i32::try_from)?;
    let method = method.as_ref().map(|method| method.as_str().unwrap_or_default());
    let up = match method {
        Some("ceil") => true,
        Some("floor") => false,
        _ => {
            let rest = Kwargs::from_iter(std::iter::empty::<(&str, Value)>());
            return minijinja::filters::round(value.clone(), Some(places), method, rest);
        }
    };
    let number = f64::try_from(value.clone())?;
    let exact = places.abs() <= EXACT_POWER && number.abs() < 2f64.powi(53);
    let power: f64 = format!("1e{places}").parse().unwrap_or(f64::NAN);
    let scaled = number * power;
    if !exact || !scaled.is_finite() || value.is_integer() && scaled.abs() >= 2f64.powi(53) {
        return Err(unsupported("rounding of such large numbers, or to so many places"));
    }
    Ok(Value::from(if up { scaled.ceil() } else { scaled.floor() } / power))
}

fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    value.len().filter(|_| !is_namespace(value)).ok_or_else(|| {
        let why = format!("a value of type {} has no length", value.kind());
        Error::new(ErrorKind::InvalidOperation, why)
    })
}

/// Refuses a value that is not there.
pub fn there(value: &Value) -> Result<(), Error> {
    if value.is_undefined() { Err(Error::from(ErrorKind::UndefinedError)) } else { Ok(()) }
}

/// The arguments with these names. One that is given is there, even if its value is undefined.
///
/// # Errors
/// If there is one too many, or one with another name.
pub fn arguments<const N: usize>(
    all: Rest<ValueOrKwargs>,
    names: [&str; N],
) -> Result<[Option<Value>; N], Error> {
    let mut given = all.into_values();
    let named = match given.pop_if(|last| last.is_kwargs()) {
        Some(named) => Kwargs::try_from(named)?,
        None => Kwargs::from_iter(std::iter::empty::<(String, Value)>()),
    };
    if given.len() > N {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let mut found = names.map(|_| None);
    for (at, name) in names.into_iter().enumerate() {
        found[at] = match given.get(at) {
            Some(value) => Some(value.clone()),
            None if named.has(name) => Some(named.get(name)?),
            None => None,
        };
    }
    named.assert_all_used()?;
    Ok(found)
}

fn int(value: &Value, all: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    there(value)?;
    let [other, base] = arguments(all, ["default", "base"])?;
    let other = other.unwrap_or_else(|| Value::from(0));
    let base = base.map(u32::try_from).transpose()?.unwrap_or(10);
    if value.kind() == ValueKind::Bool {
        return Ok(Value::from(i64::from(value.is_true())));
    }
    let number = match value.as_str() {
        Some(text) => {
            let text = plain(text)?;
            if let Some(whole) = whole_of_base(&text, base) {
                return Ok(integer(whole));
            }
            decimal(&text)
        }
        None if value.is_integer() => return Ok(value.clone()),
        None => {
            let number = f64::try_from(value.clone()).ok();
            if number.is_some_and(f64::is_infinite) {
                // Python raises another error here than for a text, and no default helps.
                let why = "cannot convert float infinity to integer";
                return Err(Error::new(ErrorKind::InvalidOperation, why));
            }
            number
        }
    };
    match number.filter(|number| number.is_finite()) {
        Some(number) if number.abs() < 1e38 => Ok(integer(number as i128)),
        Some(_) => Err(unsupported("int of a number of more than 38 digits")),
        None => Ok(other),
    }
}

fn float(value: &Value, all: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    there(value)?;
    let [other] = arguments(all, ["default"])?;
    let other = other.unwrap_or_else(|| Value::from(0.0));
    let read = match (value.as_str(), value.kind()) {
        (Some(text), _) => decimal(&plain(text)?),
        (None, ValueKind::Bool) => Some(f64::from(u8::from(value.is_true()))),
        (None, _) => f64::try_from(value.clone()).ok(),
    };
    Ok(read.map_or(other, Value::from))
}

/// A whole number in a base, behind the base's own mark or not.
fn whole_of_base(text: &str, base: u32) -> Option<i128> {
    let mark = match base {
        2 => "0b",
        8 => "0o",
        16 => "0x",
        _ => "",
    };
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (&text[..1], digits),
        None => ("", text),
    };
    let digits = digits.to_lowercase();
    let digits = digits.strip_prefix(mark).unwrap_or(&digits);
    let bounded = (2..=36).contains(&base) && !digits.starts_with(['-', '+']);
    if bounded { i128::from_str_radix(&format!("{sign}{digits}"), base).ok() } else { None }
}

/// A number's text without white space and the underscores between its digits.
fn plain(text: &str) -> Result<String, Error> {
    let text = text.trim_matches(is_space);
    if text.chars().any(|one| one.is_numeric() && !one.is_ascii()) {
        return Err(unsupported("a number with digits that are not ASCII"));
    }
    let letters: Vec<char> = text.chars().collect();
    let digit = |at: usize| letters.get(at).is_some_and(char::is_ascii_digit);
    let between = |at: usize| letters[at] == '_' && at > 0 && digit(at - 1) && digit(at + 1);
    Ok((0..letters.len()).filter(|at| !between(*at)).map(|at| letters[at]).collect())
}

/// A float as Python reads it; the library's own reading knows the same words.
fn decimal(text: &str) -> Option<f64> {
    text.parse().ok()
}
