//! One step of a case, and the names of its checks.

/// One step of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// How the record of the step begins.
    pub(super) begins: String,
    /// Its necessary checks, in order.
    pub(super) checks: Vec<Name>,
    /// The model that is refused in it, where the loader may choose. Later steps with it are left out.
    pub(super) refuses: Option<String>,
    /// Checks that it may have besides, any number of times.
    pub(super) also: Vec<Name>,
    /// How further records of the same step begin.
    pub(super) more: Vec<String>,
}

impl Stage {
    /// The same with checks that it may have besides.
    pub(super) fn also(mut self, names: impl IntoIterator<Item = Name>) -> Stage {
        self.also.extend(names);
        self
    }

    /// The same with further records of the step.
    pub(super) fn more(mut self, begins: &[&str]) -> Stage {
        self.more.extend(begins.iter().map(|begin| (*begin).to_owned()));
        self
    }
}

/// The name of a check, as far as it does not depend on chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// The whole name.
    Is(String),
    /// How it begins.
    Begins(String),
    /// What stands in it.
    Has(&'static str),
    /// One of these.
    OneOf(&'static [&'static str]),
}

impl Name {
    pub(super) fn is(name: &str) -> Name {
        Name::Is(name.to_owned())
    }

    pub(super) fn begins(name: &str) -> Name {
        Name::Begins(name.to_owned())
    }

    /// Whether a check has this name.
    pub(super) fn fits(&self, what: &str) -> bool {
        match self {
            Name::Is(name) => what == name,
            Name::Begins(name) => what.starts_with(name.as_str()),
            Name::Has(part) => what.contains(part),
            Name::OneOf(names) => names.contains(&what),
        }
    }

    /// The name for a reader.
    pub(super) fn words(&self) -> String {
        match self {
            Name::Is(name) => format!("{name:?}"),
            Name::Begins(name) => format!("one that begins with {name:?}"),
            Name::Has(part) => format!("one with {part:?}"),
            Name::OneOf(names) => format!("one of {}", names.join(", ")),
        }
    }
}

/// A stage in which nothing is refused for good.
pub(super) fn stage(begins: impl Into<String>, checks: Vec<Name>) -> Stage {
    Stage { begins: begins.into(), checks, refuses: None, also: Vec::new(), more: Vec::new() }
}
