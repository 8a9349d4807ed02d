//! Parses what an expression is made of: literals, names, brackets, arguments and subscripts.

use super::expressions::Parser;
use super::fault::{Result, failed, unknown};
use super::token::Token;
use super::tree::{Constant, Expr, Given};

impl Parser {
    pub fn subscript(&mut self, of: Expr) -> Result<Expr> {
        let mut parts: [Option<Box<Expr>>; 3] = [None, None, None];
        let mut colons = 0;
        while !self.stream.skip("]") {
            if self.stream.sees(",") {
                return unknown("a subscript with a comma");
            }
            if self.stream.skip(":") {
                colons += 1;
                continue;
            }
            let Some(part) = parts.get_mut(colons).filter(|part| part.is_none()) else {
                return self.stream.unexpected("']'");
            };
            *part = Some(Box::new(self.expression()?));
        }
        match parts {
            [Some(index), ..] if colons == 0 => Ok(Expr::Item(Box::new(of), index)),
            _ if colons == 0 => unknown("an empty subscript"),
            parts => Ok(Expr::Slice(Box::new(of), parts)),
        }
    }

    /// `(...)` after what is called.
    pub fn arguments(&mut self) -> Result<Given> {
        self.stream.expect("(")?;
        let mut given = Given::default();
        while !self.stream.skip(")") {
            if !given.positional.is_empty() || !given.named.is_empty() {
                self.stream.expect(",")?;
                if self.stream.skip(")") {
                    break;
                }
            }
            if self.stream.sees("*") || self.stream.sees("**") {
                return unknown("a call with * or **");
            }
            match (self.stream.peek().cloned(), self.stream.peek_second()) {
                (Some(Token::Name(name)), Some(Token::Operator("="))) => {
                    self.stream.next();
                    self.stream.next();
                    if given.named.iter().any(|(other, _)| *other == name) {
                        return failed(format!("keyword argument repeated: {name}"));
                    }
                    given.named.push((name, self.expression()?));
                }
                _ if !given.named.is_empty() => {
                    return failed("a positional argument follows a named one");
                }
                _ => given.positional.push(self.expression()?),
            }
        }
        Ok(given)
    }

    pub fn primary(&mut self) -> Result<Expr> {
        let constant = |constant| Ok(Expr::Constant(constant));
        match self.stream.peek().cloned() {
            Some(Token::Name(name)) => {
                self.stream.next();
                match name.as_str() {
                    "true" | "True" => constant(Constant::Bool(true)),
                    "false" | "False" => constant(Constant::Bool(false)),
                    "none" | "None" => constant(Constant::None),
                    _ => {
                        self.read.push(name.clone());
                        Ok(Expr::Name(name))
                    }
                }
            }
            Some(Token::Text(mut text)) => {
                self.stream.next();
                while let Some(Token::Text(more)) = self.stream.peek() {
                    text.push_str(more);
                    self.stream.next();
                }
                constant(Constant::Text(text))
            }
            Some(Token::Int(value)) => {
                self.stream.next();
                constant(Constant::Int(value))
            }
            Some(Token::Float(value)) => {
                self.stream.next();
                constant(Constant::Float(value))
            }
            Some(Token::Operator("(")) => {
                self.stream.next();
                let inner = self.deeper(|parser| parser.tuple(true, true))?;
                self.stream.expect(")")?;
                Ok(inner)
            }
            Some(Token::Operator("[")) => {
                self.stream.next();
                let mut items = Vec::new();
                self.members("]", |parser| {
                    items.push(parser.expression()?);
                    Ok(())
                })?;
                Ok(Expr::List(items))
            }
            Some(Token::Operator("{")) => {
                self.stream.next();
                let mut pairs = Vec::new();
                self.members("}", |parser| {
                    let key = parser.expression()?;
                    parser.stream.expect(":")?;
                    pairs.push((key, parser.expression()?));
                    Ok(())
                })?;
                Ok(Expr::Map(pairs))
            }
            _ => self.stream.unexpected("an expression"),
        }
    }

    /// Members with commas between, up to the closing bracket.
    fn members(
        &mut self,
        close: &str,
        mut one: impl FnMut(&mut Parser) -> Result<()>,
    ) -> Result<()> {
        let mut first = true;
        while !self.stream.skip(close) {
            if !first {
                self.stream.expect(",")?;
                if self.stream.skip(close) {
                    break;
                }
            }
            first = false;
            one(self)?;
        }
        Ok(())
    }
}
