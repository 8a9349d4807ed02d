//! `weighbridge explain ID`: one requirement, error code, resolution or limit, in full.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use super::lookup::{Covered, LookupError, nearest};
use crate::contract::Code;
use crate::harness::spec::{ErrorCode, Excluded, Limit, Requirement, Resolution, Spec, Threshold};

/// Columns that running text is broken at.
const WIDTH: usize = 88;

/// Explain a requirement, an error code or a resolution.
#[derive(Args, Clone, Debug, Default)]
pub struct ExplainArgs {
    /// `F-PARSE-043`, `EMB-E004` or the error's name, `R4`, `L2`, `X1`, or a failure such as
    /// `checksum_mismatch`.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// What an id names.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Found<'a> {
    Requirement {
        #[serde(flatten)]
        row: &'a Requirement,
        resolved: Vec<&'a Resolution>,
        limits: Vec<&'a Limit>,
        cases: &'a [String],
    },
    ErrorCode(&'a ErrorCode),
    Resolution {
        #[serde(flatten)]
        row: &'a Resolution,
        requirements: Vec<&'a str>,
    },
    Limit(&'a Limit),
    Excluded(&'a Excluded),
}

/// Prints the explanation.
///
/// # Errors
/// An unknown id, with the nearest known ones; or where `out` fails.
pub fn run(
    args: &ExplainArgs,
    spec: &Spec,
    covered: &Covered,
    out: &mut dyn Write,
) -> Result<(), LookupError> {
    let found = find(&args.id, spec, covered).ok_or_else(|| {
        LookupError::unknown("id", &args.id, nearest(&args.id, names(spec).iter().copied()))
    })?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &found)?;
        return Ok(writeln!(out)?);
    }
    match found {
        Found::Requirement { row, resolved, limits, cases } => {
            requirement(row, &resolved, &limits, cases, spec, out)?;
        }
        Found::ErrorCode(row) => error_code(row, out)?,
        Found::Resolution { row, requirements } => resolution(row, &requirements, out)?,
        Found::Limit(row) => {
            writeln!(out, "{}  not promised by a certificate", row.id)?;
            field(out, "outside", &row.statement)?;
            field(out, "reason", &row.reason)?;
            list(out, "weakens", row.requirements.iter().map(String::as_str))?;
        }
        Found::Excluded(row) => {
            writeln!(out, "{}  no requirement here", row.id)?;
            field(out, "asked", &row.rule)?;
            field(out, "source", &format!("{}, {}", row.source.document, row.source.place))?;
            field(out, "reason", &row.reason)?;
        }
    }
    Ok(())
}

fn find<'a>(id: &str, spec: &'a Spec, covered: &'a Covered) -> Option<Found<'a>> {
    let same = |name: &str| name.eq_ignore_ascii_case(id);
    if let Some(row) = spec.requirements().iter().find(|row| same(&row.id)) {
        return Some(Found::Requirement {
            row,
            resolved: row.resolutions.iter().filter_map(|id| spec.resolution(id)).collect(),
            limits: spec.limits().iter().filter(|l| l.requirements.contains(&row.id)).collect(),
            cases: covered.get(&row.id).map_or(&[], Vec::as_slice),
        });
    }
    if let Some(row) = spec.resolutions().iter().find(|row| same(&row.id)) {
        let requirements = spec.requirements().iter().filter(|r| r.resolutions.contains(&row.id));
        return Some(Found::Resolution {
            row,
            requirements: requirements.map(|row| row.id.as_str()).collect(),
        });
    }
    let failure: Option<Code> = serde_json::from_value(id.to_ascii_lowercase().into()).ok();
    spec.error_code(&id.to_ascii_uppercase())
        .or_else(|| failure.and_then(|failure| spec.error_code_of(failure)))
        .map(Found::ErrorCode)
        .or_else(|| spec.limits().iter().find(|row| same(&row.id)).map(Found::Limit))
        .or_else(|| spec.excluded().iter().find(|row| same(&row.id)).map(Found::Excluded))
}

fn names(spec: &Spec) -> Vec<&str> {
    let codes = spec.error_codes().iter().flat_map(|row| [row.code.as_str(), row.name.as_str()]);
    (spec.requirements().iter().map(|row| row.id.as_str()))
        .chain(spec.resolutions().iter().map(|row| row.id.as_str()))
        .chain(codes)
        .collect()
}

fn requirement(
    row: &Requirement,
    resolved: &[&Resolution],
    limits: &[&Limit],
    cases: &[String],
    spec: &Spec,
    out: &mut dyn Write,
) -> io::Result<()> {
    let points =
        if row.points == 1 { "1 point".to_owned() } else { format!("{} points", row.points) };
    writeln!(out, "{}  {}, {points}", row.id, row.severity.name())?;
    if let Some(section) = spec.section(&row.section) {
        field(out, "section", &format!("{}, {}", section.id, section.title))?;
    }
    field(out, "holds", &row.sentence)?;
    field(out, "source", &format!("{}, {}", row.source.document, row.source.place))?;
    let needs: Vec<&str> = row.needs.iter().map(|need| need.name()).collect();
    field(out, "needs", &if needs.is_empty() { "nothing".to_owned() } else { needs.join(", ") })?;
    field(out, "evidence", &format!("({}) {}", row.evidence.basis.name(), row.evidence.what))?;
    let thresholds: Vec<String> =
        row.thresholds.iter().map(|(name, held)| threshold(name, held)).collect();
    list(out, "thresholds", thresholds.iter().map(String::as_str))?;
    list(out, "exempt", row.exemptions.iter().map(String::as_str))?;
    for held in resolved {
        field(out, &held.id, &format!("{} Because: {}", held.choice, held.reason))?;
    }
    for held in limits {
        field(out, &held.id, &format!("Not promised: {}", held.statement))?;
    }
    if let Some(note) = &row.note {
        field(out, "note", note)?;
    }
    if cases.is_empty() {
        return field(out, "cases", "none yet");
    }
    list(out, "cases", cases.iter().map(String::as_str))
}

fn threshold(name: &str, held: &Threshold) -> String {
    let small = held.value != 0.0 && held.value.abs() < 1e-3;
    let value = if small { format!("{:e}", held.value) } else { held.value.to_string() };
    format!("{name}: {} {value} {}", held.bound.words(), held.unit).trim_end().to_owned()
}

fn error_code(row: &ErrorCode, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}  {}", row.code, row.name)?;
    list(out, "also called", row.aliases.iter().map(String::as_str))?;
    field(out, "means", &row.meaning)?;
    field(out, "remedy", &row.remedy)?;
    let failures: Vec<String> = row.failures.iter().map(|failure| failure.name()).collect();
    list(out, "failures", failures.iter().map(String::as_str))?;
    match &row.note {
        Some(note) => field(out, "note", note),
        None => Ok(()),
    }
}

fn resolution(row: &Resolution, requirements: &[&str], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}  how a conflict was settled", row.id)?;
    field(out, "conflict", &row.conflict)?;
    field(out, "choice", &row.choice)?;
    field(out, "reason", &row.reason)?;
    let sources: Vec<String> =
        row.sources.iter().map(|source| format!("{}, {}", source.document, source.place)).collect();
    list(out, "sources", sources.iter().map(String::as_str))?;
    list(out, "shapes", requirements.iter().copied())
}

/// Prints a label and running text, broken into lines that are indented below the first.
fn field(out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
    let mut line = format!("  {label:<11} ");
    let indent = line.len();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{line}")?;
            line = " ".repeat(indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(out, "{}", line.trim_end())
}

/// Prints a label and one line an item; nothing for no items.
fn list<'a>(
    out: &mut dyn Write,
    label: &str,
    items: impl Iterator<Item = &'a str>,
) -> io::Result<()> {
    items
        .enumerate()
        .try_for_each(|(index, item)| field(out, if index == 0 { label } else { "" }, item))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn explained(id: &str, json: bool) -> Result<String, LookupError> {
        let spec = Spec::embedded().unwrap();
        let covered = BTreeMap::from([("F-PARSE-044".to_owned(), vec!["parse/pickle".to_owned()])]);
        let mut out = Vec::new();
        run(&ExplainArgs { id: id.to_owned(), json }, &spec, &covered, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_requirement_tells_everything() {
        let text = explained("f-parse-044", false).unwrap();
        for part in ["F-PARSE-044  fail, 1 point\n", "section", "PMAT-116", "R7", "parse/pickle"] {
            assert!(text.contains(part), "{part} not in:\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let text = explained("F-MEM-029", false).unwrap();
        assert!(text.contains("bandwidth: above 5 GB/s"), "{text}");
        assert!(text.contains("none yet") && text.contains("L10"), "{text}");
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
        assert!(explained("overlap", false).unwrap().starts_with("EMB-E012"));
    }

    #[test]
    fn resolutions_limits_and_exclusions_are_explained() {
        let text = explained("R4", false).unwrap();
        assert!(text.contains("F-DTYPE-054") && text.contains("F-DATA-QUALITY-002"), "{text}");
        assert!(explained("L1", false).unwrap().contains("not promised"));
        assert!(explained("X1", false).unwrap().contains("no requirement"));
    }

    #[test]
    fn json_carries_reason_and_cases() {
        let text = explained("F-PARSE-044", true).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let row = &value["requirement"];
        assert_eq!(row["id"], "F-PARSE-044");
        assert_eq!(row["cases"][0], "parse/pickle");
        assert!(row["resolved"][0]["reason"].is_string());
    }

    #[test]
    fn an_unknown_id_names_the_nearest() {
        let error = explained("F-PRASE-043", false).unwrap_err().to_string();
        assert!(error.starts_with("unknown id: F-PRASE-043 (did you mean F-PARSE-043"), "{error}");
        let error = explained("something else entirely", false).unwrap_err().to_string();
        assert_eq!(error, "unknown id: something else entirely");
    }
}
