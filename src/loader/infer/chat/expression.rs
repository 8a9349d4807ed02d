//! Rewrites Jinja's expressions for `minijinja`: operators that it has in another way than Python become
//! calls of functions, slices become calls of a method, and texts are written with their escapes
//! resolved.

use std::collections::HashSet;

use super::operators::{CALLED, DICT, LIST, RAISED, TUPLE, WITHIN};
use super::tokens::{Token, invalid, unsupported};
use super::vocabulary::has;
use minijinja::Error;

/// The method that a slice becomes.
pub const SLICE: &str = "slice_of_three";

/// Deepest nesting of expressions. It keeps the stack from running out.
pub const DEEPEST: usize = 100;

/// Most operands between which one operator stands. The library keeps them in each other.
const LONGEST_CHAIN: usize = 1000;

/// Longest operand that stands between two comparisons, rewritten. It is written twice.
const LONGEST_MIDDLE: usize = 1000;

/// Words that are no names.
pub const WORDS: [&str; 8] = ["and", "else", "if", "in", "is", "not", "or", "recursive"];

/// A walk over the tokens of one tag.
pub struct Walk<'t> {
    /// The tokens.
    pub tokens: &'t [Token],
    /// The place of the next token.
    pub at: usize,
    depth: usize,
    /// Whether unknown filters are no error yet.
    pub lenient: bool,
    /// The names of macros that have defaults.
    pub macros: &'t HashSet<String>,
}

impl<'t> Walk<'t> {
    /// A walk from the first token.
    pub fn new(tokens: &'t [Token], lenient: bool, macros: &'t HashSet<String>) -> Self {
        Walk { tokens, at: 0, depth: 0, lenient, macros }
    }

    /// The next token.
    pub fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    /// Takes the next token.
    pub fn token(&mut self) -> Result<&'t Token, Error> {
        let token = self.peek().ok_or_else(|| invalid("unexpected end of a tag"))?;
        self.at += 1;
        Ok(token)
    }

    /// The next token's text, if it is one of these words or signs.
    pub fn next_is(&self, words: &[&str]) -> Option<&'t str> {
        match self.peek() {
            Some(Token::Sign(text)) if words.contains(text) => Some(text),
            Some(Token::Name(text)) if words.contains(&text.as_str()) => Some(text),
            _ => None,
        }
    }

    /// Takes the next token if it is this one.
    pub fn take(&mut self, word: &str) -> bool {
        let there = self.next_is(&[word]).is_some();
        self.at += usize::from(there);
        there
    }

    /// Takes the next token, which must be this one.
    pub fn must(&mut self, word: &str) -> Result<(), Error> {
        if self.take(word) {
            return Ok(());
        }
        let found = self.peek().map_or_else(|| "the end of the tag".to_owned(), Token::written);
        Err(invalid(format!("expected {word}, found {found}")))
    }

    /// Ends the walk.
    ///
    /// # Errors
    /// If tokens are left.
    pub fn end(self, out: String) -> Result<String, Error> {
        match self.peek() {
            None => Ok(out),
            Some(token) => Err(invalid(format!("unexpected {}", token.written()))),
        }
    }

    /// Expressions with commas between them. `ternary` tells whether `if` may follow.
    pub fn tuple(&mut self, ternary: bool) -> Result<String, Error> {
        let mut out = self.one(ternary)?;
        let tuple = self.next_is(&[","]).is_some();
        while self.take(",") {
            out.push_str(", ");
            if self.peek().is_none() || self.next_is(&[")", "if", "recursive"]).is_some() {
                break;
            }
            out.push_str(&self.one(ternary)?);
        }
        Ok(if tuple { format!("{TUPLE}({out})") } else { out })
    }

    fn one(&mut self, ternary: bool) -> Result<String, Error> {
        if ternary { self.expression() } else { self.logic(0) }
    }

    /// One expression.
    pub fn expression(&mut self) -> Result<String, Error> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(too_deep());
        }
        let mut out = self.logic(0)?;
        let mut chain = 0;
        while self.take("if") {
            one_more(&mut chain)?;
            let condition = self.logic(0)?;
            out.push_str(&format!(" if {condition}"));
            if self.take("else") {
                out.push_str(&format!(" else {}", self.expression()?));
            }
        }
        self.depth -= 1;
        Ok(out)
    }

    /// `or`, `and` and `not`.
    fn logic(&mut self, level: usize) -> Result<String, Error> {
        let Some(word) = ["or", "and"].get(level) else {
            return match self.take("not") {
                true => {
                    self.depth += 1;
                    if self.depth > DEEPEST {
                        return Err(too_deep());
                    }
                    let out = format!("not {}", self.logic(level)?);
                    self.depth -= 1;
                    Ok(out)
                }
                false => self.compared(),
            };
        };
        let mut out = self.logic(level + 1)?;
        let mut chain = 0;
        while self.take(word) {
            one_more(&mut chain)?;
            out.push_str(&format!(" {word} {}", self.logic(level + 1)?));
        }
        Ok(out)
    }

    fn compared(&mut self) -> Result<String, Error> {
        let mut left = self.sum()?;
        let mut parts = Vec::new();
        let mut chain = 0;
        loop {
            one_more(&mut chain)?;
            let before = self.at;
            let word = match self.next_is(&["==", "!=", "<", ">", "<=", ">=", "in", "not"]) {
                Some(word) => word,
                None => break,
            };
            self.at += 1;
            if word == "not" && !self.take("in") {
                self.at = before;
                break;
            }
            if !parts.is_empty() && left.len() > LONGEST_MIDDLE {
                return Err(unsupported("a long operand between two comparisons"));
            }
            let right = self.sum()?;
            parts.push(match (word, CALLED.iter().find(|(sign, _)| *sign == word)) {
                (_, Some((_, name))) => format!("{name}({left}, {right})"),
                ("not", None) => format!("(not {WITHIN}({left}, {right}))"),
                (_, None) => format!("{WITHIN}({left}, {right})"),
            });
            left = right;
        }
        Ok(match parts.len() {
            0 => left,
            1 => parts.concat(),
            _ => format!("({})", parts.join(" and ")),
        })
    }

    fn sum(&mut self) -> Result<String, Error> {
        let mut left = self.joined()?;
        let mut chain = 0;
        loop {
            if self.take("-") {
                one_more(&mut chain)?;
                left.push_str(&format!(" - {}", self.joined()?));
            } else if self.next_is(&["+"]).is_some() {
                one_more(&mut chain)?;
                left = self.run("+", left, Self::joined)?;
            } else {
                return Ok(left);
            }
        }
    }

    fn joined(&mut self) -> Result<String, Error> {
        let left = self.product()?;
        match self.next_is(&["~"]) {
            Some(sign) => self.run(sign, left, Self::product),
            None => Ok(left),
        }
    }

    /// One call for all operands between which this operator stands.
    fn run(
        &mut self,
        sign: &str,
        mut operands: String,
        operand: fn(&mut Self) -> Result<String, Error>,
    ) -> Result<String, Error> {
        while self.take(sign) {
            operands.push_str(", ");
            operands.push_str(&operand(self)?);
        }
        let name = CALLED.iter().find(|(called, _)| *called == sign).map_or("", |(_, name)| name);
        Ok(format!("{name}({operands})"))
    }

    fn product(&mut self) -> Result<String, Error> {
        let mut left = self.power()?;
        let mut chain = 0;
        while let Some(sign) = self.next_is(&["*", "/", "//", "%"]) {
            self.at += 1;
            one_more(&mut chain)?;
            left = applied(sign, &left, &self.power()?);
        }
        Ok(left)
    }

    fn power(&mut self) -> Result<String, Error> {
        let mut left = self.unary(true)?;
        let mut chain = 0;
        while self.take("**") {
            one_more(&mut chain)?;
            left = format!("{RAISED}({left} ** {})", self.unary(true)?);
        }
        Ok(left)
    }

    fn unary(&mut self, filters: bool) -> Result<String, Error> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(too_deep());
        }
        let out = match self.next_is(&["-", "+"]) {
            Some(sign) => {
                self.at += 1;
                format!("{sign}{}", self.unary(false)?)
            }
            None => self.primary()?,
        };
        let out = self.postfix(out)?;
        self.depth -= 1;
        if filters { self.filtered(out) } else { Ok(out) }
    }

    /// A value: a name, a number, a text, or what brackets hold.
    pub fn primary(&mut self) -> Result<String, Error> {
        match self.token()? {
            Token::Name(name) if has("self varargs kwargs", name) => {
                Err(unsupported(name.as_str()))
            }
            Token::Name(name) if !WORDS.contains(&name.as_str()) => Ok(name.clone()),
            Token::Number(number) => Ok(number.clone()),
            Token::Text(text) => {
                let mut whole = text.clone();
                while let Some(Token::Text(more)) = self.peek() {
                    whole.push_str(more);
                    self.at += 1;
                }
                Ok(Token::Text(whole).written())
            }
            Token::Sign("(") => {
                if self.take(")") {
                    return Ok(format!("{TUPLE}()"));
                }
                let inner = self.tuple(true)?;
                self.must(")")?;
                Ok(format!("({inner})"))
            }
            Token::Sign("[") => {
                let items = self.listed("]", Self::expression)?;
                Ok(format!("{LIST}({})", items.join(", ")))
            }
            Token::Sign("{") => {
                let pairs = self.listed("}", |walk| {
                    let key = walk.expression()?;
                    walk.must(":")?;
                    Ok(format!("{key}, {}", walk.expression()?))
                })?;
                Ok(format!("{DICT}({})", pairs.join(", ")))
            }
            other => Err(invalid(format!("unexpected {}", other.written()))),
        }
    }

    /// Items up to a closing sign, with commas between them.
    fn listed(
        &mut self,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<String, Error>,
    ) -> Result<Vec<String>, Error> {
        let mut items = Vec::new();
        while !self.take(close) {
            if !items.is_empty() {
                self.must(",")?;
                if self.take(close) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Arguments, after their opening bracket.
    pub fn arguments(&mut self) -> Result<String, Error> {
        self.arguments_in("")
    }

    /// Arguments, after their opening bracket, each in a call of a function, if one is named.
    pub fn arguments_in(&mut self, function: &str) -> Result<String, Error> {
        let around = |value: String| match function {
            "" => value,
            _ => format!("{function}({value})"),
        };
        let mut names = Vec::new();
        let items = self.listed(")", |walk| {
            for stars in ["**", "*"] {
                if walk.take(stars) {
                    return Ok(format!("{stars}{}", walk.expression()?));
                }
            }
            if let (Some(Token::Name(name)), Some(Token::Sign("="))) =
                (walk.peek(), walk.tokens.get(walk.at + 1))
            {
                walk.at += 2;
                if names.contains(&name) {
                    return Err(invalid(format!("two arguments {name}")));
                }
                names.push(name);
                return Ok(format!("{name}={}", around(walk.expression()?)));
            }
            walk.expression().map(around)
        })?;
        Ok(format!("({})", items.join(", ")))
    }
}

/// Counts an operand of a chain.
fn one_more(chain: &mut usize) -> Result<(), Error> {
    *chain += 1;
    if *chain > LONGEST_CHAIN {
        let what = format!("more than {LONGEST_CHAIN} operands of one operator");
        return Err(unsupported(what));
    }
    Ok(())
}

/// The error for an expression that nests too deep.
pub fn too_deep() -> Error {
    unsupported(format!("an expression of more than {DEEPEST} steps in each other"))
}

/// An operator with its operands: a call, or the operator where both languages agree.
fn applied(sign: &str, left: &str, right: &str) -> String {
    match CALLED.iter().find(|(called, _)| *called == sign) {
        Some((_, name)) => format!("{name}({left}, {right})"),
        None => format!("{left} {sign} {right}"),
    }
}
