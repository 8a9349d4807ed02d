//! Parses the statements of a template.

use std::rc::Rc;

use super::expressions::Parser;
use super::fault::{Result, failed, unknown};
use super::lexer::cut;
use super::names::{TAGS, is_one};
use super::token::Token;
use super::tree::{Expr, Filter, Given, Loop, Macro, Node, Target};

/// Parses a template.
pub fn parse(source: &str) -> Result<Vec<Node>> {
    let mut parser = Parser::new(cut(source)?);
    let (body, _) = body(&mut parser, &[])?;
    match parser.certain.first().or(parser.missing.first()) {
        Some(missing) => failed(missing.as_str()),
        None => Ok(body),
    }
}

/// The statements up to one of these tags, and that tag, whose name is taken.
fn body(parser: &mut Parser, ends: &[&'static str]) -> Result<(Vec<Node>, &'static str)> {
    parser.deeper(|parser| {
        let mut nodes = Vec::new();
        while let Some(token) = parser.stream.next() {
            match token {
                Token::Data(text) => nodes.push(Node::Data(text)),
                Token::PrintBegin => {
                    nodes.push(Node::Print(parser.tuple(true, false)?));
                    parser.stream.expect_token(&Token::PrintEnd, "'}}'")?;
                }
                _ => {
                    if let Some(end) = ends.iter().find(|end| parser.stream.sees_name(end)) {
                        parser.stream.next();
                        return Ok((nodes, *end));
                    }
                    let name = parser.stream.name()?;
                    let before = parser.missing.len();
                    let node = statement(parser, &name)?;
                    end(parser)?;
                    // A block that is not a condition makes a new frame, which is not conditional.
                    match node {
                        Node::If(..) => parser.missing.truncate(before),
                        Node::Set(..) | Node::Print(_) => {}
                        _ => parser.certain.extend(parser.missing.drain(before..)),
                    }
                    nodes.push(node);
                }
            }
        }
        match ends.last() {
            None => Ok((nodes, "")),
            Some(end) => failed(format!("the template ends before '{end}'")),
        }
    })
}

fn end(parser: &mut Parser) -> Result<()> {
    parser.stream.expect_token(&Token::TagEnd, "'%}'")
}

/// The end of the tag that opens a block, then its body.
fn block(parser: &mut Parser, ends: &[&'static str]) -> Result<(Vec<Node>, &'static str)> {
    parser.stream.skip(":");
    end(parser)?;
    body(parser, ends)
}

fn statement(parser: &mut Parser, name: &str) -> Result<Node> {
    match name {
        "if" => conditions(parser),
        "for" => repetition(parser),
        "set" => assignment(parser),
        "macro" => {
            let name = parser.stream.name()?;
            let parameters = parameters(parser)?;
            Ok(Node::Macro(Rc::new(routine(parser, name, parameters, "endmacro")?)))
        }
        "call" => {
            let parameters = if parser.stream.sees("(") { parameters(parser)? } else { Vec::new() };
            let call = parser.expression()?;
            if !matches!(call, Expr::Call(..)) {
                return failed("expected call");
            }
            let caller = routine(parser, "caller".to_owned(), parameters, "endcall")?;
            Ok(Node::CallBlock(call, Rc::new(caller)))
        }
        "with" => {
            let mut values = Vec::new();
            while parser.stream.peek() != Some(&Token::TagEnd) {
                if !values.is_empty() {
                    parser.stream.expect(",")?;
                }
                let target = Target::Name(parser.stream.name()?);
                parser.stream.expect("=")?;
                values.push((target, parser.expression()?));
            }
            Ok(Node::With(values, block(parser, &["endwith"])?.0))
        }
        "filter" => {
            let mut filters = vec![parser.filter_after_bar()?];
            filters.extend(filters_after(parser)?);
            Ok(Node::Filtered(filters, block(parser, &["endfilter"])?.0))
        }
        "generation" => Ok(Node::Filtered(Vec::new(), block(parser, &["endgeneration"])?.0)),
        "print" => {
            let mut parts = vec![parser.expression()?];
            while parser.stream.skip(",") {
                parts.push(parser.expression()?);
            }
            Ok(Node::Print(Expr::Concat(parts)))
        }
        "break" => Ok(Node::Break),
        "continue" => Ok(Node::Continue),
        tag if is_one(TAGS, tag) => unknown(format!("the tag {tag}")),
        tag => failed(format!("Encountered unknown tag '{tag}'.")),
    }
}

fn conditions(parser: &mut Parser) -> Result<Node> {
    let mut branches = Vec::new();
    let otherwise = loop {
        let condition = parser.tuple(false, false)?;
        let (body, end) = block(parser, &["elif", "else", "endif"])?;
        branches.push((condition, body));
        match end {
            "elif" => {}
            "else" => break block(parser, &["endif"])?.0,
            _ => break Vec::new(),
        }
    };
    Ok(Node::If(branches, otherwise))
}

fn repetition(parser: &mut Parser) -> Result<Node> {
    let target = target(parser, false)?;
    if !parser.stream.skip_name("in") {
        return parser.stream.unexpected("'in'");
    }
    let over = parser.tuple(false, false)?;
    let condition = match parser.stream.skip_name("if") {
        true => Some(parser.expression()?),
        false => None,
    };
    if parser.stream.skip_name("recursive") {
        return unknown("a recursive loop");
    }
    let (body, end) = block(parser, &["else", "endfor"])?;
    let otherwise = match end {
        "else" => block(parser, &["endfor"])?.0,
        _ => Vec::new(),
    };
    Ok(Node::For(Box::new(Loop { target, over, condition, body, otherwise })))
}

fn assignment(parser: &mut Parser) -> Result<Node> {
    let target = target(parser, true)?;
    if parser.stream.skip("=") {
        return Ok(Node::Set(target, parser.tuple(true, false)?));
    }
    let filters = filters_after(parser)?;
    Ok(Node::SetBlock(target, filters, block(parser, &["endset"])?.0))
}

fn filters_after(parser: &mut Parser) -> Result<Vec<Filter>> {
    let mut filters: Vec<(String, Given)> = Vec::new();
    while parser.stream.skip("|") {
        filters.push(parser.filter_after_bar()?);
    }
    Ok(filters)
}

/// What an assignment or a loop names: names with commas between, in brackets or not.
fn target(parser: &mut Parser, members: bool) -> Result<Target> {
    let mut targets = Vec::new();
    let mut several = false;
    loop {
        if parser.stream.skip("(") {
            targets.push(parser.deeper(|parser| target(parser, members))?);
            parser.stream.expect(")")?;
        } else {
            let name = parser.stream.name()?;
            targets.push(match members && parser.stream.skip(".") {
                true => Target::Member(name, parser.stream.name()?),
                false => Target::Name(name),
            });
        }
        if !parser.stream.skip(",") {
            break;
        }
        several = true;
        // Behind a comma, Jinja takes `in` for another name.
        if parser.stream.sees(")") {
            break;
        }
    }
    match targets.pop() {
        Some(only) if !several => Ok(only),
        last => {
            targets.extend(last);
            Ok(Target::Tuple(targets))
        }
    }
}

fn parameters(parser: &mut Parser) -> Result<Vec<(String, Option<Expr>)>> {
    parser.stream.expect("(")?;
    let mut parameters: Vec<(String, Option<Expr>)> = Vec::new();
    while !parser.stream.skip(")") {
        if !parameters.is_empty() {
            parser.stream.expect(",")?;
        }
        let name = parser.stream.name()?;
        if parameters.iter().any(|(other, _)| *other == name) {
            return failed(format!("duplicate argument '{name}'"));
        }
        let default = match parser.stream.skip("=") {
            true => Some(parser.expression()?),
            false if parameters.last().is_some_and(|(_, default)| default.is_some()) => {
                return failed("non-default argument follows default argument");
            }
            false => None,
        };
        parameters.push((name, default));
    }
    Ok(parameters)
}

/// The body of a macro, and which names it reads that every macro has.
fn routine(
    parser: &mut Parser,
    name: String,
    parameters: Vec<(String, Option<Expr>)>,
    end: &'static str,
) -> Result<Macro> {
    let before = std::mem::take(&mut parser.read);
    let (body, _) = block(parser, &[end])?;
    let extras = ["caller", "varargs", "kwargs"].map(|extra| {
        parser.read.iter().any(|read| read == extra)
            && !parameters.iter().any(|(name, _)| name == extra)
    });
    parser.read.extend(before);
    Ok(Macro { name, parameters, body, extras })
}
