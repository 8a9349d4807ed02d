//! Compares the requirements of a record with those of the suite: which there are, and what each says.

use std::collections::BTreeMap;

use super::own::at;
use crate::harness::record::{Mismatch, RequirementRow};

/// Every difference.
pub(super) fn differences(found: &[RequirementRow], wanted: &[RequirementRow]) -> Vec<Mismatch> {
    let mut all = Vec::new();
    let by_id: BTreeMap<&str, &RequirementRow> =
        found.iter().map(|row| (row.id.as_str(), row)).collect();
    for row in wanted {
        match by_id.get(row.id.as_str()) {
            None => all.push(at(&row.id, "a requirement of the suite", "none in the record")),
            Some(found) => all.extend(differences_of(found, row)),
        }
    }
    let is_wanted = |row: &&RequirementRow| wanted.iter().any(|other| other.id == row.id);
    for row in found.iter().filter(|row| !is_wanted(row)) {
        all.push(at(&row.id, "no such requirement in the suite", "one in the record"));
    }
    let order = |rows: &[RequirementRow]| -> Vec<String> {
        rows.iter().map(|row| row.id.clone()).collect()
    };
    if all.is_empty() && order(found) != order(wanted) {
        all.push(at("requirements", "the order of the suite", "another order"));
    }
    all
}

fn differences_of(found: &RequirementRow, wanted: &RequirementRow) -> Vec<Mismatch> {
    // The patterns have no `..`, so a new field does not compile until it is compared.
    let RequirementRow { id, section, points, warning, in_profile, sentence, cases } = wanted;
    let mut all = Vec::new();
    let mut compare = |field: &str, expected: String, actual: String| {
        if expected != actual {
            all.push(at(format!("{id}, {field}"), expected, actual));
        }
    };
    let severity = |warning: bool| if warning { "warning" } else { "fail" }.to_owned();
    let inside = |is: bool| if is { "yes" } else { "no" }.to_owned();
    compare("section", section.clone(), found.section.clone());
    compare("points", points.to_string(), found.points.to_string());
    compare("severity", severity(*warning), severity(found.warning));
    compare("in the profile", inside(*in_profile), inside(found.in_profile));
    compare("sentence", sentence.clone(), found.sentence.clone());
    let lacks = cases.iter().filter(|case| !found.cases.contains(case));
    all.extend(lacks.map(|case| at(id, format!("its case {case}"), "none of that id")));
    let more = found.cases.iter().filter(|case| !cases.contains(case));
    all.extend(more.map(|case| at(id, "no such case in the suite", case)));
    if all.is_empty() && *cases != found.cases {
        all.push(at(id, "its cases in the order of the suite", found.cases.join(", ")));
    }
    all
}
