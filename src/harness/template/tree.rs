//! A template as a tree.

use super::value::Value;

/// A statement.
#[derive(Debug)]
pub enum Node {
    /// Text.
    Data(String),
    /// `{{ ... }}`.
    Print(Expr),
    /// `{% if %}`: conditions with bodies, and the body of `else`.
    If(Vec<(Expr, Vec<Node>)>, Vec<Node>),
    /// `{% for %}`.
    For(Box<Loop>),
    /// `{% set a = ... %}`.
    Set(Target, Expr),
    /// `{% set a %}...{% endset %}`, with filters.
    SetBlock(Target, Vec<Filter>, Vec<Node>),
    /// `{% macro %}`.
    Macro(std::rc::Rc<Macro>),
    /// `{% call %}`: the call, and the body as a macro named `caller`.
    CallBlock(Expr, std::rc::Rc<Macro>),
    /// `{% with %}`.
    With(Vec<(Target, Expr)>, Vec<Node>),
    /// `{% filter %}`; without a filter, a block with a scope of its own.
    Filtered(Vec<Filter>, Vec<Node>),
    /// `{% break %}`.
    Break,
    /// `{% continue %}`.
    Continue,
}

/// A filter and its arguments.
pub type Filter = (String, Given);

/// `{% for target in over if condition %}body{% else %}otherwise{% endfor %}`.
#[derive(Debug)]
pub struct Loop {
    pub target: Target,
    pub over: Expr,
    pub condition: Option<Expr>,
    pub body: Vec<Node>,
    pub otherwise: Vec<Node>,
}

/// A macro.
#[derive(Debug)]
pub struct Macro {
    pub name: String,
    pub parameters: Vec<(String, Option<Expr>)>,
    pub body: Vec<Node>,
    /// Which of `caller`, `varargs` and `kwargs` its body names.
    pub extras: [bool; 3],
}

/// What an assignment names.
#[derive(Debug)]
pub enum Target {
    /// A variable.
    Name(String),
    /// A member of a namespace.
    Member(String, String),
    /// Several.
    Tuple(Vec<Target>),
}

/// The arguments of a call, unevaluated.
#[derive(Debug, Default)]
pub struct Given {
    pub positional: Vec<Expr>,
    pub named: Vec<(String, Expr)>,
}

/// An expression.
#[derive(Debug)]
pub enum Expr {
    Constant(Constant),
    Name(String),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    Attribute(Box<Expr>, String),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    Call(Box<Expr>, Given),
    Filter(Box<Expr>, String, Given),
    Test(Box<Expr>, String, Given),
    Not(Box<Expr>),
    Sign(bool, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Vec<(&'static str, Expr)>),
    Concat(Vec<Expr>),
    Choice(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
}

/// A value that is written in the template.
#[derive(Debug)]
pub enum Constant {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl Constant {
    /// Its value.
    pub fn value(&self) -> Value {
        match self {
            Constant::None => Value::None,
            Constant::Bool(value) => Value::Bool(*value),
            Constant::Int(value) => Value::Int(*value),
            Constant::Float(value) => Value::Float(*value),
            Constant::Text(text) => Value::text(text.as_str()),
        }
    }
}
