//! Parses expressions, with Jinja's precedence.

use super::fault::{Fault, Result, failed};
use super::names::{FILTERS, TESTS, is_one};
use super::token::{Spot, Stream, Token};
use super::tree::{Constant, Expr, Filter, Given};

/// Deepest nesting of expressions and blocks.
const DEPTH: usize = 60;
/// Most operands of one operator, and most members, calls and filters behind a value. They stand in each
/// other.
const CHAIN: usize = 200;

/// A parser at some place of a template.
pub struct Parser {
    pub stream: Stream,
    depth: usize,
    /// Filters and tests that Jinja does not have. In a conditional part, they matter only when
    /// they are reached; Jinja refuses a template that has others.
    pub missing: Vec<String>,
    /// Those that are in no conditional part.
    pub certain: Vec<String>,
    /// The names that have been read, for macros.
    pub read: Vec<String>,
}

impl Parser {
    /// A parser at the start.
    pub fn new(spots: Vec<Spot>) -> Parser {
        let stream = Stream::new(spots);
        Parser { stream, depth: 0, missing: Vec::new(), certain: Vec::new(), read: Vec::new() }
    }

    /// Parses something one level deeper.
    pub fn deeper<T>(&mut self, parse: impl FnOnce(&mut Parser) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH {
            return Err(Fault::Limit("depth"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// An expression, with `a if b else c`.
    pub fn expression(&mut self) -> Result<Expr> {
        self.deeper(|parser| {
            let before = parser.missing.len();
            let mut expr = parser.or()?;
            let mut chain = 0;
            while parser.stream.skip_name("if") {
                one_more(&mut chain)?;
                let test = parser.or()?;
                let otherwise = match parser.stream.skip_name("else") {
                    true => Some(Box::new(parser.expression()?)),
                    false => None,
                };
                expr = Expr::Choice(Box::new(test), Box::new(expr), otherwise);
                parser.missing.truncate(before);
            }
            Ok(expr)
        })
    }

    /// An expression, or several with commas between: a tuple.
    pub fn tuple(&mut self, conditional: bool, bracketed: bool) -> Result<Expr> {
        let mut items = Vec::new();
        let mut several = false;
        loop {
            if !items.is_empty() {
                self.stream.expect(",")?;
            }
            let ends = matches!(self.stream.peek(), Some(Token::TagEnd | Token::PrintEnd))
                || self.stream.sees(")")
                || (!conditional && self.stream.sees_name("recursive"));
            if ends {
                break;
            }
            items.push(if conditional { self.expression()? } else { self.or()? });
            if !self.stream.sees(",") {
                break;
            }
            several = true;
        }
        match items.pop() {
            Some(only) if !several => Ok(only),
            None if !bracketed => self.stream.unexpected("an expression"),
            last => {
                items.extend(last);
                Ok(Expr::Tuple(items))
            }
        }
    }

    /// `or` and everything that binds tighter.
    pub fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        let mut chain = 0;
        while self.stream.skip_name("or") {
            one_more(&mut chain)?;
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        let mut chain = 0;
        while self.stream.skip_name("and") {
            one_more(&mut chain)?;
            left = Expr::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if self.stream.skip_name("not") {
            return self.deeper(|parser| Ok(Expr::Not(Box::new(parser.not()?))));
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expr> {
        let first = self.sum()?;
        let mut more = Vec::new();
        loop {
            let signs = ["==", "!=", ">=", "<=", ">", "<"];
            let operator = match signs.into_iter().find(|sign| self.stream.sees(sign)) {
                Some(sign) => {
                    self.stream.next();
                    sign
                }
                None if self.stream.skip_name("in") => "in",
                None if self.stream.sees_name("not")
                    && self.stream.peek_second() == Some(&Token::Name("in".to_owned())) =>
                {
                    self.stream.next();
                    self.stream.next();
                    "not in"
                }
                None => break,
            };
            more.push((operator, self.sum()?));
        }
        Ok(if more.is_empty() { first } else { Expr::Compare(Box::new(first), more) })
    }

    fn sum(&mut self) -> Result<Expr> {
        self.binary(&["+", "-"], Parser::concat)
    }

    fn concat(&mut self) -> Result<Expr> {
        let mut parts = vec![self.product()?];
        while self.stream.skip("~") {
            parts.push(self.product()?);
        }
        match parts.pop() {
            Some(only) if parts.is_empty() => Ok(only),
            last => {
                parts.extend(last);
                Ok(Expr::Concat(parts))
            }
        }
    }

    fn product(&mut self) -> Result<Expr> {
        self.binary(&["*", "//", "/", "%"], Parser::power)
    }

    fn power(&mut self) -> Result<Expr> {
        self.binary(&["**"], |parser| parser.unary(true))
    }

    fn binary(
        &mut self,
        operators: &[&'static str],
        tighter: impl Fn(&mut Parser) -> Result<Expr>,
    ) -> Result<Expr> {
        let mut left = tighter(self)?;
        let mut chain = 0;
        while let Some(operator) = operators.iter().find(|one| self.stream.sees(one)) {
            one_more(&mut chain)?;
            self.stream.next();
            left = Expr::Binary(operator, Box::new(left), Box::new(tighter(self)?));
        }
        Ok(left)
    }

    fn unary(&mut self, filtered: bool) -> Result<Expr> {
        let minus = self.stream.sees("-");
        let mut expr = if minus || self.stream.sees("+") {
            self.stream.next();
            self.deeper(|parser| Ok(Expr::Sign(minus, Box::new(parser.unary(false)?))))?
        } else {
            self.primary()?
        };
        expr = self.postfix(expr)?;
        if !filtered {
            return Ok(expr);
        }
        let mut chain = 0;
        loop {
            one_more(&mut chain)?;
            if self.stream.skip("|") {
                let (name, given) = self.filter_after_bar()?;
                expr = Expr::Filter(Box::new(expr), name, given);
            } else if self.stream.skip_name("is") {
                expr = self.test(expr)?;
            } else if self.stream.sees("(") {
                expr = Expr::Call(Box::new(expr), self.arguments()?);
            } else {
                return Ok(expr);
            }
        }
    }

    /// A filter's name and arguments.
    pub fn filter_after_bar(&mut self) -> Result<Filter> {
        let mut name = self.stream.name()?;
        while self.stream.skip(".") {
            name = format!("{name}.{}", self.stream.name()?);
        }
        if !is_one(FILTERS, &name) {
            self.missing.push(format!("No filter named '{name}'."));
        }
        let given = if self.stream.sees("(") { self.arguments()? } else { Given::default() };
        Ok((name, given))
    }

    fn test(&mut self, subject: Expr) -> Result<Expr> {
        let negated = self.stream.skip_name("not");
        let mut name = self.stream.name()?;
        while self.stream.skip(".") {
            name = format!("{name}.{}", self.stream.name()?);
        }
        if !is_one(TESTS, &name) {
            self.missing.push(format!("No test named '{name}'."));
        }
        let opens = matches!(
            self.stream.peek(),
            Some(Token::Name(_) | Token::Text(_) | Token::Int(_) | Token::Float(_))
        ) || ["[", "{"].iter().any(|one| self.stream.sees(one));
        let ends = ["else", "or", "and"].iter().any(|one| self.stream.sees_name(one));
        let given = if self.stream.sees("(") {
            self.arguments()?
        } else if opens && !ends {
            if self.stream.sees_name("is") {
                return failed("You cannot chain multiple tests with is");
            }
            let argument = self.primary()?;
            Given { positional: vec![self.postfix(argument)?], named: Vec::new() }
        } else {
            Given::default()
        };
        let test = Expr::Test(Box::new(subject), name, given);
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }

    fn postfix(&mut self, mut expr: Expr) -> Result<Expr> {
        let mut chain = 0;
        loop {
            one_more(&mut chain)?;
            if self.stream.skip(".") {
                expr = match self.stream.next() {
                    Some(Token::Name(name)) => Expr::Attribute(Box::new(expr), name),
                    Some(Token::Int(index)) => {
                        let index = Expr::Constant(Constant::Int(index));
                        Expr::Item(Box::new(expr), Box::new(index))
                    }
                    _ => return failed("expected name or number"),
                };
            } else if self.stream.skip("[") {
                expr = self.subscript(expr)?;
            } else if self.stream.sees("(") {
                expr = Expr::Call(Box::new(expr), self.arguments()?);
            } else {
                return Ok(expr);
            }
        }
    }
}

/// Counts an operand of a chain.
fn one_more(chain: &mut usize) -> Result<()> {
    *chain += 1;
    if *chain > CHAIN { Err(Fault::Limit("depth")) } else { Ok(()) }
}
