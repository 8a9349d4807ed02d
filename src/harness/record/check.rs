//! One check: what was expected, what was found, and how they compare.

use serde::{Deserialize, Serialize};

use super::relation::Relation;
use super::values::Values;

/// One comparison of a claim or an observation with the expected value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is compared.
    pub what: String,
    /// How the value found is compared with the expected one; not written where it is `equals`. `None` if an
    /// earlier version wrote the record.
    #[serde(default = "usual", skip_serializing_if = "is_unwritten")]
    pub relation: Option<Relation>,
    /// The expected value.
    pub expected: String,
    /// The value found.
    pub found: String,
    /// Whether the check held.
    pub held: bool,
    /// Who found the value.
    pub basis: Basis,
    /// Whether it did not hold and is policy alone: a refusal in other words than were asked for. Other checks
    /// of the case follow it, and a class is not missed by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub policy: bool,
    /// The first wrong element, where bytes were compared and differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Values>,
}

/// Who found a checked value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The harness observed it.
    Observed,
    /// The loader declared it, and the harness cannot verify it.
    Declared,
}

impl Check {
    /// A comparison by equality.
    pub fn equal<T: ToString>(
        what: impl Into<String>,
        expected: T,
        found: T,
        basis: Basis,
    ) -> Self {
        Check::by(Relation::Equals, what, expected, found, basis)
    }

    /// A comparison by equality that is known not to hold, as where an answer of another kind came.
    pub fn broken(
        what: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
        basis: Basis,
    ) -> Self {
        Check::unlike(Relation::Equals, what, expected.to_string(), found.to_string(), basis)
    }

    /// A search for something that must not be there: `found` is what was found of it.
    pub fn absent(
        what: impl Into<String>,
        expected: impl ToString,
        found: Option<String>,
        basis: Basis,
    ) -> Self {
        let expected = expected.to_string();
        match found {
            None => Check::equal(what, expected.clone(), expected, basis),
            Some(found) => Check::broken(what, expected, found, basis),
        }
    }

    /// Numbers within the bounds that the expected text has in their places, as [`Relation::Within`] says. Both
    /// texts hold every digit that the comparison needs.
    pub fn within(
        what: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
        basis: Basis,
    ) -> Self {
        Check::by(Relation::Within, what, expected, found, basis)
    }

    /// The same of measured numbers. The texts, expected and found, have few digits, unless these would give
    /// another result than all digits do.
    pub fn measured(
        what: impl Into<String>,
        texts: impl Fn(Digits) -> (String, String),
        basis: Basis,
    ) -> Self {
        let ((expected, found), few) = (texts(Digits::All), texts(Digits::Few));
        let held = Relation::Within.holds(&expected, &found);
        let (expected, found) = match Relation::Within.holds(&few.0, &few.1) == held {
            true => few,
            false => (expected, found),
        };
        Check::within(what, expected, found, basis)
    }

    /// One of several expected texts, as [`Relation::OneOf`] says.
    pub fn one_of(
        what: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
        basis: Basis,
    ) -> Self {
        Check::by(Relation::OneOf, what, expected, found, basis)
    }

    /// A text with one of the texts that `expected` quotes as JSON does.
    pub fn contains(
        what: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
        basis: Basis,
    ) -> Self {
        Check::by(Relation::Contains, what, expected, found, basis)
    }

    /// The same, whether the letters are small or large.
    pub fn mentions(
        what: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
        basis: Basis,
    ) -> Self {
        Check::by(Relation::Mentions, what, expected, found, basis)
    }

    /// A comparison of data that the record does not hold, whose result the caller gives: more about what held,
    /// or what was found instead.
    pub fn judged(
        what: impl Into<String>,
        expected: impl ToString,
        result: Result<String, String>,
        basis: Basis,
    ) -> Self {
        let expected = expected.to_string();
        match result {
            Err(found) => Check::unlike(Relation::Judged, what, expected, found, basis),
            Ok(more) => {
                let colon = if more.is_empty() { "" } else { ": " };
                let found = format!("{expected}{colon}{more}");
                Check::by(Relation::Judged, what, expected, found, basis)
            }
        }
    }

    /// A check whose texts decide whether it held.
    fn by(
        relation: Relation,
        what: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
        basis: Basis,
    ) -> Self {
        let (expected, found) = (expected.to_string(), found.to_string());
        Check {
            what: what.into(),
            held: relation.holds(&expected, &found),
            relation: Some(relation),
            expected,
            found,
            basis,
            policy: false,
            values: None,
        }
    }

    /// A check that does not hold, even where a loader made the text found look as if it did.
    fn unlike(
        relation: Relation,
        what: impl Into<String>,
        expected: String,
        found: String,
        basis: Basis,
    ) -> Self {
        let found = match relation.holds(&expected, &found) {
            true => format!("not {found}"),
            false => found,
        };
        Check::by(relation, what, expected, found, basis)
    }

    /// The same check, as policy where it does not hold.
    pub fn as_policy(self) -> Self {
        Check { policy: !self.held, ..self }
    }

    /// The same check with the first wrong element.
    pub fn with(self, values: Option<Values>) -> Self {
        Check { values, ..self }
    }

    /// Whether it holds by its own texts; `None` where an earlier version wrote it, without its relation.
    pub fn derived(&self) -> Option<bool> {
        self.relation.map(|relation| relation.holds(&self.expected, &self.found))
    }
}

/// How many digits of a measured number a text shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// As many as a reader wants.
    Few,
    /// So many that reading the text gives the same number again.
    All,
}

impl Digits {
    /// A number with this many digits behind the point.
    pub fn fixed(self, number: f64, places: usize) -> String {
        match self {
            Digits::Few => format!("{number:.places$}"),
            Digits::All => number.to_string(),
        }
    }

    /// A number with a power of ten, and this many digits behind the point.
    pub fn scientific(self, number: f64, places: usize) -> String {
        match self {
            Digits::Few => format!("{number:.places$e}"),
            Digits::All => format!("{number:e}"),
        }
    }
}

/// The relation that a record does not write down, because most checks have it.
const fn usual() -> Option<Relation> {
    Some(Relation::Equals)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_unwritten(relation: &Option<Relation>) -> bool {
    matches!(relation, None | Some(Relation::Equals))
}
