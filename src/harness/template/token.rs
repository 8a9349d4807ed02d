//! The pieces of a template's text.

use super::fault::{Result, failed};

/// A piece.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// Text outside of tags.
    Data(String),
    /// `{%`.
    TagBegin,
    /// `%}`.
    TagEnd,
    /// `{{`.
    PrintBegin,
    /// `}}`.
    PrintEnd,
    /// A name or keyword.
    Name(String),
    /// A quoted text.
    Text(String),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// An operator.
    Operator(&'static str),
}

/// A piece and its line.
pub type Spot = (Token, usize);

/// The operators, longest first.
pub const OPERATORS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",",
];

/// A stream of pieces.
pub struct Stream {
    spots: Vec<Spot>,
    at: usize,
}

impl Stream {
    /// A stream from its start.
    pub fn new(spots: Vec<Spot>) -> Stream {
        Stream { spots, at: 0 }
    }

    /// The next piece.
    pub fn peek(&self) -> Option<&Token> {
        self.spots.get(self.at).map(|(token, _)| token)
    }

    /// The piece after the next.
    pub fn peek_second(&self) -> Option<&Token> {
        self.spots.get(self.at + 1).map(|(token, _)| token)
    }

    /// Takes the next piece.
    pub fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    /// Whether the next piece is this operator.
    pub fn sees(&self, operator: &str) -> bool {
        matches!(self.peek(), Some(Token::Operator(one)) if *one == operator)
    }

    /// Whether the next piece is this name.
    pub fn sees_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(one)) if one == name)
    }

    /// Takes this operator, if it is next.
    pub fn skip(&mut self, operator: &str) -> bool {
        let sees = self.sees(operator);
        self.at += usize::from(sees);
        sees
    }

    /// Takes this name, if it is next.
    pub fn skip_name(&mut self, name: &str) -> bool {
        let sees = self.sees_name(name);
        self.at += usize::from(sees);
        sees
    }

    /// Takes this operator.
    pub fn expect(&mut self, operator: &str) -> Result<()> {
        if self.skip(operator) { Ok(()) } else { self.unexpected(&format!("'{operator}'")) }
    }

    /// Takes a certain piece.
    pub fn expect_token(&mut self, token: &Token, called: &str) -> Result<()> {
        if self.peek() == Some(token) {
            self.at += 1;
            return Ok(());
        }
        self.unexpected(called)
    }

    /// Takes a name.
    pub fn name(&mut self) -> Result<String> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => self.unexpected("a name"),
        }
    }

    /// The next piece is not what it must be.
    pub fn unexpected<T>(&self, wanted: &str) -> Result<T> {
        let found = match self.peek() {
            Some(Token::PrintEnd) => "'}}'".to_owned(),
            Some(Token::Name(name)) => format!("'{name}'"),
            Some(Token::Text(_)) => "a quoted text".to_owned(),
            Some(Token::Int(value)) => value.to_string(),
            Some(Token::Float(value)) => value.to_string(),
            Some(Token::Operator(operator)) => format!("'{operator}'"),
            // Every tag has its end.
            _ => "'%}'".to_owned(),
        };
        let line = self.spots.get(self.at).or(self.spots.last()).map_or(1, |(_, line)| *line);
        failed(format!("line {line}: expected {wanted}, found {found}"))
    }
}
