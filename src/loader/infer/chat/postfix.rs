//! What stands behind a value in an expression: members, subscripts, calls, filters and tests.

use minijinja::Error;

use super::expression::{DEEPEST, SLICE, WORDS, Walk, too_deep};
use super::macros::GIVEN;
use super::operators::{CYCLE, ITEM, MEMBER, PAID, SEEN, SUBSCRIPT};
use super::tokens::{Token, invalid, unsupported};
use super::vocabulary::{FILTERS, TESTS, has, is_method};

impl Walk<'_> {
    /// Members, subscripts and calls behind a value.
    pub fn postfix(&mut self, mut out: String) -> Result<String, Error> {
        // Under another name it would be called without `GIVEN`.
        if self.macros.contains(&out) && self.next_is(&["("]).is_none() {
            return Err(unsupported("a macro with defaults that is not called"));
        }
        for _ in 0..DEEPEST {
            if self.take(".") {
                // `1.e5` is a member of 1 to Jinja, and a float to the library.
                if out.starts_with(|first: char| first.is_ascii_digit()) {
                    out = format!("({out})");
                }
                out = match self.token()? {
                    Token::Name(name) => {
                        let called = self.next_is(&["("]).is_some();
                        if called && name == "changed" && out == "loop" {
                            self.must("(")?;
                            out = format!("loop.changed({SEEN}{})", self.arguments()?);
                            continue;
                        }
                        if called && name == "cycle" {
                            self.must("(")?;
                            let rest = self.arguments()?;
                            let comma = if rest == "()" { "" } else { ", " };
                            out = format!("{CYCLE}({out}{comma}{}", &rest[1..]);
                            continue;
                        }
                        match is_method(name) && !called && out != "loop" {
                            true => format!("{MEMBER}({out}, \"{name}\")"),
                            false => format!("{out}.{name}"),
                        }
                    }
                    Token::Number(number) => format!("{out}[{number}]"),
                    other => return Err(invalid(format!("unexpected {}", other.written()))),
                };
            } else if self.take("[") {
                out = self.subscript(&out)?;
            } else if self.take("(") {
                let given = if self.macros.contains(&out) { GIVEN } else { "" };
                out = format!("{out}{}", self.arguments_in(given)?);
            } else {
                return Ok(out);
            }
        }
        Err(too_deep())
    }

    fn subscript(&mut self, out: &str) -> Result<String, Error> {
        if let Some(Token::Number(number)) = self.peek()
            && number.contains('.')
        {
            return Err(unsupported("a subscript that is a float"));
        }
        if let (Some(Token::Text(name)), Some(Token::Sign("]"))) =
            (self.peek(), self.tokens.get(self.at + 1))
            && is_method(name)
        {
            self.at += 2;
            return Ok(format!("{ITEM}({out}, \"{name}\")"));
        }
        let mut parts: Vec<Option<String>> = vec![None];
        while !self.take("]") {
            if self.take(":") {
                parts.push(None);
                continue;
            }
            match parts.last_mut() {
                Some(part @ None) => *part = Some(self.expression()?),
                _ => return Err(unsupported("a subscript with several parts")),
            }
        }
        let none = || "none".to_owned();
        match parts.as_slice() {
            // A text in quotes names a member.
            [Some(only)] if only.starts_with('"') => Ok(format!("{out}[{only}]")),
            [Some(only)] => Ok(format!("{SUBSCRIPT}({out}, {only})")),
            [start, stop, more @ ..] if more.len() < 2 => {
                let step = more.first().cloned().flatten();
                let [start, stop, step] =
                    [start.clone(), stop.clone(), step].map(|part| part.unwrap_or_else(none));
                Ok(format!("{out}.{SLICE}({start}, {stop}, {step})"))
            }
            _ => Err(invalid("a subscript without a value")),
        }
    }

    /// Filters and tests behind an expression.
    pub fn filtered(&mut self, mut out: String) -> Result<String, Error> {
        for _ in 0..DEEPEST {
            if self.take("|") {
                out = format!("{out} | {PAID} | {}", self.filter()?);
            } else if self.take("is") {
                let not = if self.take("not") { "not " } else { "" };
                let test = self.test()?;
                out = format!("{out} | {PAID} is {not}{test}");
            } else if self.take("(") {
                out = format!("({out}){}", self.arguments()?);
            } else {
                return Ok(out);
            }
        }
        Err(too_deep())
    }

    /// A filter's name with its arguments.
    pub fn filter(&mut self) -> Result<String, Error> {
        let name = self.known(FILTERS, "filter")?;
        match self.take("(") {
            true => Ok(format!("{name}{}", self.arguments()?)),
            false => Ok(name),
        }
    }

    fn test(&mut self) -> Result<String, Error> {
        let name = self.known(TESTS, "test")?;
        if self.take("(") {
            return Ok(format!("{name}{}", self.arguments()?));
        }
        if self.next_is(&["is"]).is_some() {
            return Err(invalid("several tests in a chain"));
        }
        let argument = match self.peek() {
            Some(Token::Name(word)) => !WORDS.contains(&word.as_str()),
            Some(Token::Sign(sign)) => ["[", "{"].contains(sign),
            Some(_) => true,
            None => false,
        };
        if !argument {
            return Ok(name);
        }
        let argument = self.primary()?;
        Ok(format!("{name}({})", self.postfix(argument)?))
    }

    /// The name of a filter or a test.
    fn known(&mut self, list: &str, kind: &str) -> Result<String, Error> {
        match self.token()? {
            Token::Name(name) if has(list, name) || self.lenient => Ok(name.clone()),
            Token::Name(name) => Err(invalid(format!("no {kind} is named {name}"))),
            other => Err(invalid(format!("expected a name, found {}", other.written()))),
        }
    }
}
