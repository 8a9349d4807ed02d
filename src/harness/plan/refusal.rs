//! Why there is no plan: what is wrong with the grid, the files, the model or the document of a claim.

use std::fmt;
use std::path::Path;

use super::rule::Rule;
use crate::contract::{Class, Code, Failure, Phase};

/// What is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The grid of ranks, or another word of the command line.
    Grid,
    /// A document of a claim that cannot be read as one.
    Claim,
    /// Files that cannot be read.
    Files,
    /// A model that cannot be divided so.
    Model,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What is at fault.
    pub fault: Fault,
    /// The rule that asks for the refusal, if one does.
    pub rule: Option<Rule>,
    /// Numbers that a refusal of the same must name.
    pub numbers: Vec<u64>,
    /// Code, words, expected, actual and remedy.
    pub failure: Box<Failure>,
}

impl Refusal {
    fn new(fault: Fault, class: Class, phase: Phase, code: Code, message: String) -> Self {
        let failure = Box::new(Failure::new(class, phase, code, message));
        Refusal { fault, rule: None, numbers: Vec::new(), failure }
    }

    /// The grid of ranks makes no sense.
    pub fn grid(message: impl Into<String>) -> Self {
        let (class, phase) = (Class::Refused, Phase::Request);
        Refusal::new(Fault::Grid, class, phase, Code::InvalidRequest, message.into())
    }

    /// A document of a claim makes no sense.
    pub fn claim(message: impl Into<String>) -> Self {
        let (class, phase) = (Class::Refused, Phase::Request);
        Refusal::new(Fault::Claim, class, phase, Code::InvalidRequest, message.into())
    }

    /// A file cannot be used.
    pub fn file(path: &Path, code: Code, message: impl Into<String>) -> Self {
        let message = format!("{}: {}", path.display(), message.into());
        let mut refusal = Refusal::new(Fault::Files, Class::Refused, Phase::Open, code, message);
        refusal.failure.path = Some(path.display().to_string());
        refusal
    }

    /// The files contradict each other or the configuration.
    pub fn model(code: Code, message: impl Into<String>) -> Self {
        Refusal::new(Fault::Model, Class::Refused, Phase::Header, code, message.into())
    }

    /// The model is sound, and cannot be divided in this way.
    pub fn indivisible(rule: Option<Rule>, message: impl Into<String>) -> Self {
        let (class, code) = (Class::Unsupported, Code::UnsupportedCapability);
        let refusal = Refusal::new(Fault::Model, class, Phase::Request, code, message.into());
        Refusal { rule, ..refusal }
    }

    /// Names the rule that asks for the refusal.
    pub fn by(mut self, rule: Rule) -> Self {
        self.rule = Some(rule);
        self
    }

    /// Names the numbers that a refusal of the same must name.
    pub fn numbers(mut self, numbers: impl IntoIterator<Item = u64>) -> Self {
        self.numbers.extend(numbers);
        self
    }

    /// Adds what was expected, what was found, and what to do about it.
    pub fn told(
        mut self,
        expected: impl ToString,
        actual: impl ToString,
        remedy: impl Into<String>,
    ) -> Self {
        *self.failure = self.failure.expected(expected, actual).remedy(remedy);
        self
    }

    /// Names the tensor.
    pub fn tensor(mut self, name: &str) -> Self {
        self.failure.tensor = Some(name.to_owned());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rule) = self.rule {
            write!(f, "rule {}: ", rule.number())?;
        }
        self.failure.fmt(f)
    }
}

impl std::error::Error for Refusal {}
