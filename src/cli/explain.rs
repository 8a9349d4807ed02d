//! `weighbridge explain NAME`: a requirement, section, case, error, capability and so on, in full; with
//! `--all`, everything as pages.

mod find;
mod meaning;
mod pages;
mod text;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use super::lookup::{LookupError, nearest};
use crate::harness::case::Case;
use crate::harness::spec::Spec;

pub use self::find::names;
pub use self::pages::run as write_pages;

/// Explain a requirement, section, case, error code, capability, phase, mutant, profile or class of loaders.
#[derive(Args, Clone, Debug, Default)]
pub struct ExplainArgs {
    /// What to explain, in upper or lower case: `F-PARSE-043`, `parse`, `F-PARSE-036::readme_smallest`,
    /// `EMB-E004`, `checksum_mismatch`, `format.gguf`, `open`, `refused`, `half-zeros`, `host`, `weights-host`,
    /// `R4`, `L2` or `X1`.
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub id: Option<String>,
    /// Write everything that has a name as Markdown pages, the requirement reference of the guides.
    #[arg(long, requires = "out", conflicts_with = "id")]
    pub all: bool,
    /// The folder for the pages. Files of the same names are written over.
    #[arg(long, value_name = "FOLDER", requires = "all")]
    pub out: Option<PathBuf>,
    /// Print one JSON object. Each thing that has the name stands under its kind.
    #[arg(long)]
    pub json: bool,
}

/// Prints the explanation of everything that has the name.
///
/// # Errors
/// An unknown name, with the nearest known ones; or if `out` fails.
pub fn run(
    args: &ExplainArgs,
    spec: &Spec,
    cases: &[Case],
    out: &mut dyn Write,
) -> Result<(), LookupError> {
    let id = args.id.as_deref().unwrap_or_default();
    let found = find::all(id, spec, cases);
    if found.is_empty() {
        let known = names(spec, cases);
        let near = nearest(id, known.iter().map(String::as_str));
        return Err(LookupError::unknown("name", id, near));
    }
    if args.json {
        let mut all = Map::new();
        for one in &found {
            add(&mut all, serde_json::to_value(one)?);
        }
        serde_json::to_writer_pretty(&mut *out, &all)?;
        return Ok(writeln!(out)?);
    }
    for (at, one) in found.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        text::print(one, spec, out)?;
    }
    Ok(())
}

/// Adds `{kind: fields}`; a second thing of a kind makes a list of that kind.
fn add(all: &mut Map<String, Value>, one: Value) {
    let Value::Object(one) = one else { return };
    for (kind, fields) in one {
        match all.get_mut(&kind) {
            None => {
                all.insert(kind, fields);
            }
            Some(Value::Array(list)) => list.push(fields),
            Some(first) => *first = Value::Array(vec![first.take(), fields]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::text::WIDTH;
    use super::*;
    use crate::cli::weighing::Embedded;

    fn explained(id: &str, json: bool) -> Result<String, LookupError> {
        // Every name of several hundred is explained, so it is read once.
        static EMBEDDED: LazyLock<Embedded> = LazyLock::new(|| Embedded::read().unwrap());
        let embedded = &*EMBEDDED;
        let mut out = Vec::new();
        let args = ExplainArgs { id: Some(id.to_owned()), json, ..ExplainArgs::default() };
        run(&args, &embedded.spec, embedded.cases.cases(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_requirement_tells_everything() {
        let text = explained("f-parse-044", false).unwrap();
        for part in
            ["F-PARSE-044  severity: fail, 1 point\n", "section", "PMAT-116", "R7", "F-PARSE-044::"]
        {
            assert!(text.contains(part), "{part} not in:\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let text = explained("F-MEM-029", false).unwrap();
        assert!(text.contains("bandwidth: above 5 GB/s"), "{text}");
        assert!(text.contains("L10"), "{text}");
    }

    #[test]
    fn small_limits_are_written_with_an_exponent() {
        let text = explained("F-DATA-QUALITY-003", false).unwrap();
        assert!(text.contains("l2_norm: above 1e-6\n"), "{text}");
    }

    #[test]
    fn codes_are_found_by_number_name_alias_and_failure() {
        let first = explained("EMB-E001", false).unwrap();
        for other in ["emb-e001", "CUDA_UNAVAILABLE", "CUDA_REQUIRED", "cuda_unavailable"] {
            assert_eq!(explained(other, false).unwrap(), first);
        }
        assert_eq!(explained("E001", false).unwrap(), first);
        let text = explained("overlap", false).unwrap();
        assert!(text.starts_with("EMB-E012"), "{text}");
        assert!(text.contains("asked for   overlap, a case of invalid_layout\n"), "{text}");
    }

    /// Of a code its causes with their remedies are listed; of one failure, only that failure's.
    #[test]
    fn a_code_tells_the_remedy_of_each_cause() {
        let words = |id: &str| {
            let text = explained(id, false).unwrap();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        for row in crate::loader::remedies::all() {
            let name = row.code.name();
            let text = words(&name);
            assert!(text.contains(&format!("{}: ", row.cause)), "{} not in:\n{text}", row.cause);
        }
        let (all, one) = (words("EMB-E012"), words("overlap"));
        assert!(one.len() < all.len() && all.contains("causes"), "{one}\n{all}");
        let value: Value = serde_json::from_str(&explained("E013", true).unwrap()).unwrap();
        let causes = value["error_code"]["causes"].as_array().unwrap();
        assert!(causes.iter().all(|cause| cause["remedy"].is_string()), "{value}");
    }

    #[test]
    fn resolutions_limits_and_exclusions_are_explained() {
        let text = explained("R4", false).unwrap();
        assert!(text.contains("F-DTYPE-054") && text.contains("F-DATA-QUALITY-002"), "{text}");
        assert!(explained("L1", false).unwrap().contains("not promised"));
        assert!(explained("X1", false).unwrap().contains("not a requirement"));
    }

    #[test]
    fn json_carries_reason_and_cases() {
        let text = explained("F-PARSE-044", true).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let row = &value["requirement"];
        assert_eq!(row["id"], "F-PARSE-044");
        assert!(row["cases"][0].as_str().is_some_and(|id| id.starts_with("F-PARSE-044::")));
        assert!(row["resolved"][0]["reason"].is_string());
    }

    #[test]
    fn every_kind_of_name_is_explained() {
        for (name, parts) in [
            (
                "parsing",
                &["IV  section: Parsing, 10 points\n", "conformance/parse", "F-PARSE-036"][..],
            ),
            ("F-PARSE-036::README_smallest", &["F-PARSE-036::readme_smallest  case\n", "asks for"]),
            ("format.gguf", &["format.gguf  capability\n", "Q4_K", " of "]),
            ("admit", &["admit  phase of a failure\n", "gates"]),
            ("refused", &["refused  class of a failure\n", "input is bad"]),
            ("half-zeros", &["half-zeros  mutant", "refuted by", "PMAT-234"]),
            ("host", &["host  profile, 46 points\n", "no GPU certificate"]),
            ("weights-gpu", &["weights-gpu  class of loaders 1.0\n", "export", "F-MEM-021"]),
            ("F-DTYPE-049", &["policy: The source documents refuse element types"]),
            ("F-ERR-091::named_pipe", &["policy: opening a named pipe waits"]),
        ] {
            let text = explained(name, false).unwrap();
            for part in parts {
                assert!(text.contains(part), "{name}: no {part:?} in:\n{text}");
            }
            let value: serde_json::Value =
                serde_json::from_str(&explained(name, true).unwrap()).unwrap();
            assert_eq!(value.as_object().map(serde_json::Map::len), Some(1), "{name}: {value}");
        }
    }

    #[test]
    fn a_name_of_several_things_explains_all() {
        let text = explained("preflight", false).unwrap();
        for part in ["section: ", "preflight  capability", "preflight  phase"] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
        let value: serde_json::Value =
            serde_json::from_str(&explained("preflight", true).unwrap()).unwrap();
        for kind in ["section", "capability", "phase"] {
            assert!(value[kind].is_object(), "{kind}: {value}");
        }
        // A folder that holds two sections, and the family of several.
        let value: serde_json::Value =
            serde_json::from_str(&explained("warm", true).unwrap()).unwrap();
        assert!(value["section"].as_array().is_some_and(|all| all.len() > 2), "{value}");
    }

    #[test]
    fn every_name_that_is_offered_is_explained() {
        let embedded = Embedded::read().unwrap();
        let (spec, cases) = (&embedded.spec, embedded.cases.cases());
        let names = names(spec, cases);
        assert!(names.len() > 1500, "{}", names.len());
        for name in names.iter().filter(|name| !name.contains("::")) {
            assert!(!find::all(name, spec, cases).is_empty(), "{name}");
        }
    }

    #[test]
    fn an_unknown_id_names_the_nearest() {
        let error = explained("F-PRASE-043", false).unwrap_err().to_string();
        assert!(
            error.starts_with("unknown name: F-PRASE-043 (did you mean F-PARSE-043"),
            "{error}"
        );
        let error = explained("something else entirely", false).unwrap_err().to_string();
        assert_eq!(error, "unknown name: something else entirely");
        let error = explained("half-zeroes", false).unwrap_err().to_string();
        assert_eq!(error, "unknown name: half-zeroes (did you mean half-zeros?)");
    }
}
