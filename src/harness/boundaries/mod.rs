//! The table *boundary -> case*: for each place at which a loader might behave otherwise than before,
//! the case that notices. A row without a case is a hole, and says why there is none.
//!
//! Fields of the contract and forms of inputs are rows of `conformance/boundaries.txt`. Counts and keys
//! of configurations are not written down: they follow from the cases ([`extents`], [`mod@keys`]).

pub mod extents;
pub mod keys;

/// The table of the suite.
pub const EMBEDDED: &str = include_str!("../../../conformance/boundaries.txt");

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// The heading that it stands under.
    pub under: String,
    /// What might be wrong there.
    pub what: String,
    /// The cases that notice.
    pub cases: Vec<String>,
    /// Why there is none.
    pub hole: Option<String>,
}

/// Reads the table. A line is `WHAT | CASE CASE`, or `WHAT | hole: WHY`; a heading stands in
/// brackets.
///
/// # Errors
/// The first line that is none of these, or that says nothing.
pub fn read(text: &str) -> Result<Vec<Boundary>, String> {
    let (mut under, mut all) = (String::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(heading) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            heading.clone_into(&mut under);
            continue;
        }
        let wrong = |why: &str| Err(format!("boundaries.txt:{}: {why}: {line}", number + 1));
        let Some((what, told)) = line.split_once(" | ") else {
            return wrong("no ` | ` between a boundary and its cases");
        };
        let (what, told) = (what.trim().to_owned(), told.trim());
        let row = match told.strip_prefix("hole: ") {
            Some(why) => {
                Boundary { under: under.clone(), what, cases: Vec::new(), hole: Some(why.into()) }
            }
            None => {
                let cases: Vec<String> = told.split_whitespace().map(str::to_owned).collect();
                Boundary { under: under.clone(), what, cases, hole: None }
            }
        };
        if row.under.is_empty() {
            return wrong("a row before the first heading");
        }
        if let Some(case) = row.cases.iter().find(|case| !case.contains("::")) {
            return wrong(&format!("{case} is no id of a case"));
        }
        if row.cases.is_empty() && row.hole.as_deref().is_none_or(str::is_empty) {
            return wrong("neither a case nor a reason why there is none");
        }
        if all.iter().any(|one: &Boundary| (&one.under, &one.what) == (&row.under, &row.what)) {
            return wrong("this boundary stands here twice");
        }
        all.push(row);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_holes_are_read() {
        let text =
            "# a note\n[requests]\nload.path | A-1::one B-2::two\nbye | hole: it has no field\n";
        let rows = read(text).expect("a table");
        assert_eq!(rows[0].cases, ["A-1::one", "B-2::two"]);
        assert_eq!((rows[0].under.as_str(), rows[0].what.as_str()), ("requests", "load.path"));
        assert_eq!(rows[1].hole.as_deref(), Some("it has no field"));
    }

    #[test]
    fn what_says_nothing_is_an_error() {
        for (text, why) in [
            ("[a]\nb", "no ` | `"),
            ("[a]\nb | hole:", "no id of a case"),
            ("[a]\nb | one", "no id of a case"),
            ("b | A::a", "before the first heading"),
            ("[a]\nb | A::a\nb | A::b", "twice"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{error}");
        }
    }
}
