//! `weighbridge list`: lists every requirement, section by section, and how many cases test it.
//!
//! The caller reads the cases and gives their ids, because the spec has no case ids.

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::lookup::{Covered, LookupError, profile};
use super::{list_classes, sections};
use crate::harness::spec::{Kind, Need, Requirement, Section, Severity, Spec};

/// List the requirements and the number of cases that test each.
#[derive(Args, Clone, Debug, Default)]
pub struct ListArgs {
    /// Only this section, by key (`IV`), folder (`parse`), title (`Parsing`) or family (`warm`).
    /// Repeatable.
    #[arg(long, value_name = "SECTION")]
    pub section: Vec<String>,
    /// Only the requirements of this profile.
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// The classes of loaders instead of the requirements: what each needs, and what it holds.
    #[arg(long, conflicts_with_all = ["section", "profile", "untested"])]
    pub classes: bool,
    /// The boundaries beyond which a loader might behave otherwise, and the cases that notice.
    #[arg(long, conflicts_with_all = ["section", "profile", "untested", "classes"])]
    pub boundaries: bool,
    /// Only requirements that no case tests yet.
    #[arg(long)]
    pub untested: bool,
    /// Print one JSON object, with the ids of the cases.
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Listing<'a> {
    spec_digest: &'a str,
    requirements: Vec<Entry<'a>>,
    shown: usize,
    with_cases: usize,
    points: u32,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    section: &'a str,
    severity: Severity,
    points: u32,
    kind: Kind,
    kind_reason: &'a str,
    needs: Vec<&'static str>,
    sentence: &'a str,
    cases: &'a [String],
}

/// Prints the table, or the JSON.
///
/// # Errors
/// An unknown section or profile, with the names that could be meant; or if `out` fails.
pub fn run(
    args: &ListArgs,
    spec: &Spec,
    covered: &Covered,
    out: &mut dyn Write,
) -> Result<(), LookupError> {
    if args.classes {
        return list_classes::print(spec, args.json, out);
    }
    let sections = sections::resolve(&args.section, spec)?;
    let profile = match &args.profile {
        None => None,
        Some(name) => Some(profile(name, spec)?),
    };
    let shown: Vec<&Requirement> = spec
        .requirements()
        .iter()
        .filter(|row| sections.iter().any(|section| section.id == row.section))
        .filter(|row| profile.is_none_or(|held| held.requirements.contains(&row.id)))
        .filter(|row| !args.untested || cases(covered, row).is_empty())
        .collect();
    if args.json {
        json(spec, covered, &shown, out)
    } else {
        table(spec, &sections, covered, &shown, out)
    }
}

fn cases<'a>(covered: &'a Covered, row: &Requirement) -> &'a [String] {
    covered.get(&row.id).map_or(&[], Vec::as_slice)
}

fn json(
    spec: &Spec,
    covered: &Covered,
    shown: &[&Requirement],
    out: &mut dyn Write,
) -> Result<(), LookupError> {
    let listing = Listing {
        spec_digest: spec.digest(),
        requirements: shown
            .iter()
            .map(|row| Entry {
                id: &row.id,
                section: &row.section,
                severity: row.severity,
                points: row.points,
                kind: spec.kind(&row.id).map_or(Kind::Policy, |group| group.kind),
                kind_reason: spec.kind(&row.id).map_or("", |group| group.reason.as_str()),
                needs: row.needs.iter().map(|need| need.name()).collect(),
                sentence: &row.sentence,
                cases: cases(covered, row),
            })
            .collect(),
        shown: shown.len(),
        with_cases: with_cases(covered, shown),
        points: shown.iter().map(|row| row.points).sum(),
    };
    serde_json::to_writer_pretty(&mut *out, &listing)?;
    Ok(writeln!(out)?)
}

fn with_cases(covered: &Covered, rows: &[&Requirement]) -> usize {
    rows.iter().filter(|row| !cases(covered, row).is_empty()).count()
}

fn table(
    spec: &Spec,
    sections: &[&Section],
    covered: &Covered,
    shown: &[&Requirement],
    out: &mut dyn Write,
) -> Result<(), LookupError> {
    let wide = |texts: Vec<usize>| texts.into_iter().max().unwrap_or(0);
    let id_width = wide(shown.iter().map(|row| row.id.len()).collect());
    let needs_width = wide(shown.iter().map(|row| needs(row).len()).collect());
    for section in sections {
        let rows: Vec<&Requirement> =
            shown.iter().copied().filter(|row| row.section == section.id).collect();
        if rows.is_empty() {
            continue;
        }
        writeln!(out, "{}  {}  ({} points)", section.id, section.title, section.points)?;
        for row in rows {
            writeln!(
                out,
                "  {:id_width$}  {:7}  {}  {:8}  {:needs_width$}  {}",
                row.id,
                row.severity.name(),
                row.points,
                spec.kind(&row.id).map_or("", |group| group.kind.name()),
                needs(row),
                counted(cases(covered, row).len()),
            )?;
        }
        writeln!(out)?;
    }
    let tried = with_cases(covered, shown);
    let points: u32 = shown.iter().map(|row| row.points).sum();
    writeln!(
        out,
        "{} requirements, {points} points; {tried} have a case, {} have none yet",
        shown.len(),
        shown.len() - tried
    )?;
    Ok(())
}

fn needs(row: &Requirement) -> String {
    if row.needs.is_empty() {
        return "-".to_owned();
    }
    row.needs.iter().map(|need: &Need| need.name()).collect::<Vec<_>>().join(",")
}

fn counted(cases: usize) -> String {
    match cases {
        0 => "no case yet".to_owned(),
        1 => "1 case".to_owned(),
        more => format!("{more} cases"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn listed(args: ListArgs) -> Result<String, LookupError> {
        let spec = Spec::embedded().unwrap();
        let covered = BTreeMap::from([
            ("F-PARSE-036".to_owned(), vec!["parse/valid".to_owned(), "parse/minimal".to_owned()]),
            ("F-PARSE-043".to_owned(), vec!["parse/cut".to_owned()]),
        ]);
        let mut out = Vec::new();
        run(&args, &spec, &covered, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_section_shows_every_row_and_its_cases() {
        let text = listed(ListArgs { section: vec!["iv".into()], ..ListArgs::default() }).unwrap();
        assert!(text.starts_with("IV  Parsing  (10 points)\n"), "{text}");
        assert!(text.contains("  F-PARSE-036  fail     1  format    -  2 cases\n"), "{text}");
        assert!(text.contains("  F-PARSE-043  fail     1  format    -  1 case\n"), "{text}");
        assert!(text.contains("  F-PARSE-045  fail     1  format    -  no case yet\n"), "{text}");
        assert!(text.ends_with("10 requirements, 10 points; 2 have a case, 8 have none yet\n"));
    }

    #[test]
    fn untested_leaves_out_what_has_a_case() {
        let args =
            ListArgs { section: vec!["parse".into()], untested: true, ..ListArgs::default() };
        let text = listed(args).unwrap();
        assert!(!text.contains("F-PARSE-036") && text.contains("F-PARSE-037"), "{text}");
    }

    #[test]
    fn a_folder_may_hold_two_sections() {
        let text =
            listed(ListArgs { section: vec!["warm".into()], ..ListArgs::default() }).unwrap();
        assert!(text.contains("UT-WARM-001") && text.contains("IT-WARM-003"), "{text}");
    }

    #[test]
    fn a_profile_limits_the_list() {
        let text =
            listed(ListArgs { profile: Some("build".into()), ..ListArgs::default() }).unwrap();
        assert!(text.contains("10 requirements, 10 points"), "{text}");
    }

    #[test]
    fn json_counts_what_it_shows() {
        let args = ListArgs { json: true, ..ListArgs::default() };
        let value: serde_json::Value = serde_json::from_str(&listed(args).unwrap()).unwrap();
        assert_eq!(value["points"], 100);
        assert_eq!(value["with_cases"], 2);
        assert_eq!(value["shown"], value["requirements"].as_array().unwrap().len());
        assert_eq!(value["requirements"][0]["kind"], "policy");
        assert!(value["requirements"][0]["kind_reason"].as_str().unwrap().ends_with('.'));
    }

    #[test]
    fn a_misspelt_section_is_an_error_with_a_hint() {
        let error =
            listed(ListArgs { section: vec!["prase".into()], ..ListArgs::default() }).unwrap_err();
        assert_eq!(error.to_string(), "unknown section: prase (did you mean parse?)");
    }
}
