//! What `explain` prints for people.

use std::io::{self, Write};

use super::find::{Cause, Found};
use crate::cli::list_classes;
use crate::contract::Code;
use crate::harness::spec::{Class, ErrorCode, Limit, Requirement, Resolution, Spec, Threshold};

/// Columns that running text is broken at.
pub(super) const WIDTH: usize = 88;

/// Prints one thing.
///
/// # Errors
/// If `out` fails.
pub(super) fn print(found: &Found<'_>, spec: &Spec, out: &mut dyn Write) -> io::Result<()> {
    match found {
        Found::Requirement { row, kind, kind_reason, resolved, limits, cases } => {
            let kind = format!("{kind}: {kind_reason}");
            requirement(row, &kind, resolved, limits, cases, spec, out)
        }
        Found::ErrorCode { row, failure, causes } => error_code(row, *failure, causes, out),
        Found::Resolution { row, requirements } => resolution(row, requirements, out),
        Found::Limit(row) => {
            writeln!(out, "{}  not promised by a certificate", row.id)?;
            field(out, "outside", &row.statement)?;
            field(out, "reason", &row.reason)?;
            list(out, "weakens", row.requirements.iter().map(String::as_str))
        }
        Found::Excluded(row) => {
            writeln!(out, "{}  not a requirement here", row.id)?;
            field(out, "asked", &row.rule)?;
            field(out, "source", &format!("{}, {}", row.source.document, row.source.place))?;
            field(out, "reason", &row.reason)
        }
        Found::Section { row, requirements, cases } => {
            writeln!(out, "{}  section: {}, {} points", row.id, row.title, row.points)?;
            field(out, "family", row.family.name())?;
            field(out, "folder", &format!("conformance/{}", row.folder))?;
            field(out, "cases", &cases.to_string())?;
            list(out, "requires", requirements.iter().copied())
        }
        Found::LoaderClass { row, policy_apart } => class(row, *policy_apart, out),
        Found::Profile { row, points } => {
            writeln!(out, "{}  profile, {points} points", row.name)?;
            field(out, "certifies", &row.summary)?;
            field(out, "requires", &format!("{} requirements", row.requirements.len()))?;
            field(out, "list", &format!("weighbridge list --profile {}", row.name))
        }
        Found::Case {
            id,
            tests,
            requirement,
            holds,
            kind,
            kind_reason,
            needs,
            capabilities,
            kills,
        } => {
            writeln!(out, "{id}  case")?;
            field(out, "tests", tests)?;
            field(out, "requirement", &format!("{requirement}: {holds}"))?;
            field(out, "kind", &format!("{kind}: {kind_reason}"))?;
            field(out, "needs", &or_nothing(needs))?;
            field(out, "asks for", &or_nothing(capabilities))?;
            list(out, "refutes", kills.iter().copied())?;
            field(out, "run", &format!("weighbridge certify --case {id}"))
        }
        Found::Capability { name, meaning, cases, requirements, alone } => {
            writeln!(out, "{name}  capability")?;
            field(out, "means", meaning)?;
            let (cases, rows) =
                (counted(*cases, "case"), counted(requirements.len(), "requirement"));
            field(out, "asked by", &format!("{cases} of {rows}"))?;
            let alone = counted(*alone, "case");
            field(out, "alone", &format!("{alone} for a loader that has little else"))
        }
        Found::Phase { name, meaning } => {
            writeln!(out, "{name}  phase of a failure")?;
            field(out, "means", meaning)
        }
        Found::Class { name, meaning } => {
            writeln!(out, "{name}  class of a failure")?;
            field(out, "means", meaning)
        }
        Found::Mutant { name, lie, seen_in, needs_gpu, refuted_by } => {
            writeln!(out, "{name}  mutant, a loader that tells one lie")?;
            field(out, "lie", lie)?;
            field(out, "seen in", seen_in)?;
            field(out, "needs", if *needs_gpu { "a GPU" } else { "nothing" })?;
            list(out, "refuted by", refuted_by.iter().map(String::as_str))
        }
    }
}

fn class(row: &Class, policy_apart: bool, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}  class of loaders {}", row.name, row.version)?;
    field(out, "certifies", &row.summary)?;
    field(out, "weighed", list_classes::devices(row))?;
    field(out, "needs", &list_classes::needs(row))?;
    if !row.about.is_empty() {
        field(out, "cases", &format!("those that need {}", list_classes::names(row.about.iter())))?;
    }
    if !row.features.is_empty() {
        let names = list_classes::names(row.features.iter());
        field(out, "features", &format!("{names}; one that is declared must hold whole"))?;
    }
    let policy = if policy_apart { "counted apart" } else { "part of the class" };
    field(out, "policy", policy)?;
    field(out, "run", &format!("weighbridge certify --class {}", row.name))?;
    list(out, "requires", row.requirements.iter().map(String::as_str))
}

fn or_nothing(words: &[String]) -> String {
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn counted(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

fn requirement(
    row: &Requirement,
    kind: &str,
    resolved: &[&Resolution],
    limits: &[&Limit],
    cases: &[String],
    spec: &Spec,
    out: &mut dyn Write,
) -> io::Result<()> {
    let points =
        if row.points == 1 { "1 point".to_owned() } else { format!("{} points", row.points) };
    writeln!(out, "{}  severity: {}, {points}", row.id, row.severity.name())?;
    if let Some(section) = spec.section(&row.section) {
        field(out, "section", &format!("{}, {}", section.id, section.title))?;
    }
    field(out, "holds", &row.sentence)?;
    field(out, "kind", kind)?;
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

/// A limit in words.
pub(super) fn threshold(name: &str, held: &Threshold) -> String {
    let small = held.value != 0.0 && held.value.abs() < 1e-3;
    let value = if small { format!("{:e}", held.value) } else { held.value.to_string() };
    format!("{name}: {} {value} {}", held.bound.words(), held.unit).trim_end().to_owned()
}

fn error_code(
    row: &ErrorCode,
    failure: Option<Code>,
    causes: &[Cause],
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}  {}", row.code, row.name)?;
    if let Some(code) = failure.filter(|_| row.failures.len() > 1) {
        let family = code.family().map(|broader| format!(", a case of {}", broader.name()));
        field(out, "asked for", &format!("{}{}", code.name(), family.unwrap_or_default()))?;
    }
    list(out, "also called", row.aliases.iter().map(String::as_str))?;
    field(out, "means", &row.meaning)?;
    field(out, "remedy", &row.remedy)?;
    let failures: Vec<String> = row.failures.iter().map(|failure| failure.name()).collect();
    list(out, "failures", failures.iter().map(String::as_str))?;
    if let Some(note) = &row.note {
        field(out, "note", note)?;
    }
    for (at, one) in causes.iter().enumerate() {
        let label = if at == 0 { "causes" } else { "" };
        field(out, label, &format!("{}: {}", one.cause, one.remedy.replace("{}", "...")))?;
    }
    Ok(())
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
