//! The page of a section: its requirements, each with its sentence, kind, reason, cases and mutants.

use std::collections::BTreeSet;

use super::form::{Page, anchor, file_of, item, names, sentence};
use crate::harness::case::Case;
use crate::harness::report::text::{code, count, markdown};
use crate::harness::spec::{Requirement, Section, Spec};

use super::super::text::threshold;

/// Up to so many cases are shown at once; more are folded.
const OPEN: usize = 12;

pub(super) fn page(section: &Section, spec: &Spec, cases: &[Case]) -> Page {
    let rows: Vec<&Requirement> = spec.requirements_of(&section.id).collect();
    let points = match section.points {
        0 => String::new(),
        points => format!(", {}", count(points.into(), "point", "points")),
    };
    let mut text = format!(
        "# {}\n\nSection `{}`{points}. Its cases are in `conformance/{}`. Run it:\n\n\
         ```\nweighbridge certify --section {} --loader my-loader/manifest.yaml\n```\n\n",
        markdown(&section.title),
        section.id,
        section.folder,
        section.id
    );
    for row in &rows {
        text += &format!("- [{}](#{}): {}\n", row.id, anchor(&row.id), sentence(&row.sentence));
    }
    for row in rows {
        text += &requirement(row, spec, cases);
    }
    Page { name: file_of(&section.id), text }
}

fn requirement(row: &Requirement, spec: &Spec, cases: &[Case]) -> String {
    let id = &row.id;
    let mut text = format!("\n## {id}\n\n**{}**\n\n", sentence(&row.sentence));
    if let Some(group) = spec.kind(id) {
        text += &item("Kind", &format!("{}. {}", group.kind.name(), sentence(&group.reason)));
    }
    let points = match row.points {
        0 => String::new(),
        points => format!(", {}", count(points.into(), "point", "points")),
    };
    text += &item("Severity", &format!("{}{points}", row.severity.name()));
    let source = &row.source;
    text += &item("Source", &markdown(&format!("{}, {}", source.document, source.place)));
    text += &item("Needs", &names(row.needs.iter().map(|need| need.name())));
    let evidence = &row.evidence;
    text += &item("Evidence", &format!("{}. {}", evidence.basis.name(), sentence(&evidence.what)));
    for (name, held) in &row.thresholds {
        text += &item("Threshold", &markdown(&threshold(name, held)));
    }
    text += &item("Exempt", &names(&row.exemptions));
    for one in row.resolutions.iter().filter_map(|id| spec.resolution(id)) {
        let link = format!("[{}](decisions.md#{})", one.id, anchor(&one.id));
        text += &item(
            &format!("Decided by {link}"),
            &format!("{} Because: {}", sentence(&one.choice), sentence(&one.reason)),
        );
    }
    for one in spec.limits().iter().filter(|one| one.requirements.contains(id)) {
        let link = format!("[{}](decisions.md#{})", one.id, anchor(&one.id));
        text += &item(&format!("Not promised, {link}"), &sentence(&one.statement));
    }
    text += &item("Note", &row.note.as_deref().map(sentence).unwrap_or_default());
    let classes = spec.classes().iter().filter(|one| one.requirements.contains(id));
    text += &item("Classes", &links(classes.map(|one| one.name.as_str())));
    let profiles = spec.profiles().iter().filter(|one| one.requirements.contains(id));
    text += &item("Profiles", &links(profiles.map(|one| one.name.as_str())));
    text + &tried(row, cases)
}

/// Links to classes or profiles, with commas.
fn links<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<String> =
        all.map(|name| format!("[{name}](classes.md#{})", anchor(name))).collect();
    all.join(", ")
}

/// The cases of a requirement, each with the mutants that it refutes.
fn tried(row: &Requirement, cases: &[Case]) -> String {
    let cases: Vec<&Case> = cases.iter().filter(|case| case.requirement == row.id).collect();
    if cases.is_empty() {
        return item("Cases", "none yet, so it is untested in every report");
    }
    let mutants: BTreeSet<&String> = cases.iter().flat_map(|case| &case.kills).collect();
    let open = if cases.len() > OPEN { "" } else { " open" };
    let mut text = format!(
        "\n<details{open}>\n<summary>{}, which refute {}</summary>\n\n",
        count(cases.len() as u64, "case", "cases"),
        count(mutants.len() as u64, "mutant", "mutants")
    );
    for case in cases {
        text += &format!("- {}: {}", code(&case.name), sentence(&case.tries));
        if let Some(reason) = &case.policy {
            text += &format!(" *Policy:* {}", sentence(reason));
        }
        if !case.kills.is_empty() {
            let all: Vec<String> =
                case.kills.iter().map(|name| format!("[{name}](mutants.md#{name})")).collect();
            text += &format!(" Refutes {}.", all.join(", "));
        }
        text.push('\n');
    }
    text + "\n</details>\n"
}
