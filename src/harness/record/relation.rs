//! How a check compares what was found with what was expected.
//!
//! A relation is decided by the two recorded texts alone, so that a reader can decide it again. The judge decides
//! it in the same way, from the same texts.

mod bounds;

use serde::{Deserialize, Serialize};

/// How a check compares its two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Both texts are the same.
    Equals,
    /// The text found is the expected one with a number in the place of each bound, and each number is within its
    /// bound: `at most 5 ms` and `4.2 ms`. A bound is `at most N`, `below N`, `at least N`, `above N`, `more than
    /// N` or `N to N`, of which either may be `any`. Behind a comma or a colon, more may follow.
    Within,
    /// The text found is one of those expected: `0 or 1`, or each of its fields is: `refused/open or load/io` and
    /// `refused/load/io: no such file`. `any phase` is every phase. Behind a colon, more may follow.
    OneOf,
    /// One of the quoted texts stands in the text found.
    Contains,
    /// The same, whether the letters are small or large.
    Mentions,
    /// The judge compared data that are not in the record. The text found is the expected one, with a colon and
    /// more, where the comparison held.
    Judged,
}

impl Relation {
    /// Whether the texts have this relation.
    pub fn holds(self, expected: &str, found: &str) -> bool {
        match self {
            Relation::Equals => expected == found,
            Relation::Within => bounds::within(expected, found),
            Relation::OneOf => one_of(expected, found),
            Relation::Contains => contains(expected, found, str::to_owned),
            Relation::Mentions => contains(expected, found, str::to_lowercase),
            Relation::Judged => {
                let more = found.strip_prefix(expected);
                more.is_some_and(|more| more.is_empty() || more.starts_with(": "))
            }
        }
    }

    /// Its name in a record.
    pub const fn name(self) -> &'static str {
        match self {
            Relation::Equals => "equals",
            Relation::Within => "within",
            Relation::OneOf => "one_of",
            Relation::Contains => "contains",
            Relation::Mentions => "mentions",
            Relation::Judged => "judged",
        }
    }
}

fn one_of(expected: &str, found: &str) -> bool {
    let wanted: Vec<&str> = expected.split('/').collect();
    let head = found.split(": ").next().unwrap_or_default();
    let fields: Vec<&str> = head.splitn(wanted.len(), '/').collect();
    let fits = |(wanted, field): (&&str, &&str)| {
        wanted.split(" or ").any(|one| one == *field || one.starts_with("any "))
    };
    wanted.len() == fields.len() && wanted.iter().zip(&fields).all(fits)
}

fn contains(expected: &str, found: &str, as_compared: fn(&str) -> String) -> bool {
    let said = serde_json::from_str::<String>(found).unwrap_or_else(|_| found.to_owned());
    let said = as_compared(&said);
    quoted(expected).iter().any(|text| said.contains(&as_compared(text)))
}

/// The quoted texts in a text.
fn quoted(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        rest = &rest[at..];
        let mut texts = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let Some(Ok(one)) = texts.next() else { break };
        rest = &rest[texts.byte_offset()..];
        all.push(one);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::Relation::{Contains, Equals, Judged, Mentions, OneOf};

    #[test]
    fn texts_decide_every_relation() {
        for (relation, expected, found, holds) in [
            (Equals, "none", "none", true),
            (Equals, "1", "1.0", false),
            (OneOf, "0 or 1", "1: usage", true),
            (OneOf, "0 or 1", "01", false),
            (OneOf, "0 or 1", "signal: 9 (SIGKILL)", false),
            (OneOf, "[1, 2] or [1, 3]", "[1, 3]", true),
            (OneOf, "refused/any phase/a or b", "refused/load/b: no: 1/2", true),
            (OneOf, "refused/open/a or b", "refused/load/b: no", false),
            (OneOf, "refused/open/a", "refused/open/ab: no", false),
            (OneOf, "refused/open/a", "loaded", false),
            (Contains, "the text \"a\\\"b\" or \"c\"", "xcx", true),
            (Contains, "a text with \"n\"", "\"\\n\"", false),
            (Contains, "a text with \"N\"", "\"an\"", false),
            (Contains, "no text", "anything", false),
            (Mentions, "the word \"Hop\"", "\"HOPPER\"", true),
            (Judged, "equal", "equal: 12 bytes", true),
            (Judged, "equal", "equal", true),
            (Judged, "equal", "equal to nothing", false),
        ] {
            assert_eq!(relation.holds(expected, found), holds, "{relation:?} {expected} {found}");
        }
    }
}
