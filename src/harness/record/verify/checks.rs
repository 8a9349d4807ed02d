//! Checks single comparisons: where what was expected and what was found are written down exactly, they say
//! whether the check held.

use super::findings::Findings;
use crate::harness::record::{CaseRecord, Check, Record};

/// Checks that hold if and only if both texts are the same, by name.
const EQUAL: &[&str] = &[
    "device",
    "SHA-256 of the file",
    "SHA-256 of the file written",
    "size of the file",
    "__metadata__",
    "models",
    "models held afterwards",
    "models held at once",
    "element type named",
    "tensor named",
    "missing from the error",
    "where it ran",
    "values compared",
    "rows, sound input",
    "shape of the logits",
    "mode",
    "unused tensors",
    "bytes of weights",
    "bytes held, and bytes planned",
    "tokens of transformers",
    "the same again",
    "text of the tokens",
    "reason to stop",
    "compute capability",
    "loads refused",
    "exit",
];

/// The same, by how the name begins.
const EQUAL_BEGINS: &[&str] =
    &["shape of ", "table of ", "size of ", "bytes of keys and values in ", "SHA-256 after "];

/// A measured number is rounded in its text, by less than this share.
const ROUNDED: f64 = 0.06;

impl Findings {
    /// Every check whose own texts contradict it, and every one that is marked as policy although it held.
    pub(super) fn checks(&mut self, record: &Record) {
        for case in &record.cases {
            for check in case.steps.iter().flat_map(|step| &step.checks) {
                self.check(case, check);
            }
        }
    }

    fn check(&mut self, case: &CaseRecord, check: &Check) {
        let (expected, found) = (&check.expected, &check.found);
        if let Some(derived) = holds(check) {
            self.unless(derived == check.held, &case.id, || {
                let (told, is) = (word(check.held), word(derived));
                let what = &check.what;
                format!("{what}: expected {expected}, found {found}: {is}, but stored is {told}")
            });
        }
        self.unless(!(check.policy && check.held), &case.id, || {
            format!("{}: it held, and is marked as policy", check.what)
        });
    }
}

const fn word(held: bool) -> &'static str {
    if held { "holds" } else { "does not hold" }
}

/// Whether a check holds by its texts; `None` where they do not say.
fn holds(check: &Check) -> Option<bool> {
    let (what, expected, found) = (&check.what, check.expected.as_str(), check.found.as_str());
    if EQUAL.contains(&what.as_str()) || EQUAL_BEGINS.iter().any(|begin| what.starts_with(begin)) {
        return Some(expected == found);
    }
    if what.contains(" tensors, byte for byte, through ") {
        return Some(expected == "equal" && found.ends_with(" bytes equal"));
    }
    if expected == "the same bits" {
        return Some(found == "the same");
    }
    if let Some((least, most)) = range(expected) {
        let found: i128 = found.parse().ok()?;
        return Some(
            least.is_none_or(|least| found >= least) && most.is_none_or(|most| found <= most),
        );
    }
    let most = number(expected.strip_prefix("within ")?)?;
    let far = number(found)?;
    // Of a number that is as large as its bound but for rounding, the text does not say.
    let is_clear = !((1.0 - ROUNDED)..=(1.0 + ROUNDED)).contains(&(far / most));
    is_clear.then_some(far <= most)
}

/// `A to B`, where either may be `any`.
fn range(text: &str) -> Option<(Option<i128>, Option<i128>)> {
    let (least, most) = text.split_once(" to ")?;
    let bound = |text: &str| match text {
        "any" => Some(None),
        number => number.parse().ok().map(Some),
    };
    // The free bytes of a full card are at least 1, whatever the bound.
    Some((bound(least)?, bound(most)?)).filter(|(least, _)| *least != Some(0))
}

/// The number that a text begins with.
fn number(text: &str) -> Option<f64> {
    let word = text.split([' ', ',']).next()?;
    word.parse().ok().filter(|number: &f64| !number.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::Basis;

    #[test]
    fn texts_say_whether_a_check_holds_where_they_are_exact() {
        let of = |what: &str, expected: &str, found: &str| {
            holds(&Check::of(what, expected, found, true, Basis::Observed))
        };
        assert_eq!(of("device", "cpu", "cpu"), Some(true));
        assert_eq!(of("shape of logits", "[1, 2]", "[2, 1]"), Some(false));
        for (held, is) in [("9", false), ("10", true), ("20", true), ("21", false)] {
            assert_eq!(of("bytes held", "10 to 20", held), Some(is), "{held}");
        }
        assert_eq!(of("bytes held", "10 to any", "9"), Some(false));
        assert_eq!(of("growth in bytes since a, 1 then", "any to 20", "-5"), Some(true));
        assert_eq!(of("bytes held", "0 to 20", "0"), None);
        let bytes = "3 tensors, byte for byte, through a file";
        assert_eq!(of(bytes, "equal", "12 bytes equal"), Some(true));
        assert_eq!(of(bytes, "\"w\": byte 3 is 0x01", "0x02; 1 of 4 bytes differ"), Some(false));
        assert_eq!(of("bit for bit", "the same bits", "the same"), Some(true));
        let within = "within 1e-5 of the oracle's";
        assert_eq!(of("logits", within, "2.10e-7 off at value 3: 1, not 1"), Some(true));
        assert_eq!(of("logits", within, "inf off at value 3: NaN, not 1"), Some(false));
        assert_eq!(of("logits", within, "1.00e-5 off at value 3"), None, "rounded");
        assert_eq!(of("answer", "refused/any phase/a", "refused/load/b: no"), None);
    }
}
