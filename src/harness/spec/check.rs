//! Checks the rules that hold between the spec's files.

use std::collections::{BTreeMap, BTreeSet};

use super::place::{Place, SpecError};
use super::registry::Spec;
use super::requirement::{Family, Severity};
use super::{claims, variants};
use crate::contract::Code;

/// Number of the checklist's rows, and its total of points.
const CHECKLIST: u32 = 100;

/// Checks all rules, and returns the first error.
pub(super) fn all(spec: &Spec) -> Result<(), SpecError> {
    unique(spec)?;
    references(spec)?;
    points(spec)?;
    checklist(spec)?;
    error_codes(spec)?;
    profiles(spec)?;
    claims::kinds(spec)?;
    claims::classes(spec)
}

fn unique(spec: &Spec) -> Result<(), SpecError> {
    once("section", spec.sections.iter().map(|row| (row.id.as_str(), &row.at)))?;
    once("requirement", spec.requirements.iter().map(|row| (row.id.as_str(), &row.at)))?;
    once("resolution", spec.resolutions.iter().map(|row| (row.id.as_str(), &row.at)))?;
    once("profile", spec.profiles.iter().map(|row| (row.name.as_str(), &row.at)))?;
    once("class", spec.classes.iter().map(|row| (row.name.as_str(), &row.at)))?;
    once("hardware profile", spec.hardware.iter().map(|row| (row.name.as_str(), &row.at)))?;
    once("limit", spec.limits.iter().map(|row| (row.id.as_str(), &row.at)))?;
    once("exclusion", spec.excluded.iter().map(|row| (row.id.as_str(), &row.at)))?;
    once("error code", spec.error_codes.iter().map(|row| (row.code.as_str(), &row.at)))?;
    let names = spec.error_codes.iter().flat_map(|row| {
        std::iter::once(&row.name).chain(&row.aliases).map(move |name| (name.as_str(), &row.at))
    });
    once("error name", names)
}

fn once<'a>(what: &str, rows: impl Iterator<Item = (&'a str, &'a Place)>) -> Result<(), SpecError> {
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    for (id, at) in rows {
        if id.is_empty() {
            return Err(SpecError::broken(at, format!("{what} without a name")));
        }
        if let Some(first) = seen.insert(id, at) {
            let message = format!("{what} is defined twice: {id} (also at {first})");
            return Err(SpecError::broken(at, message));
        }
    }
    Ok(())
}

fn references(spec: &Spec) -> Result<(), SpecError> {
    let document = |id: &str| spec.documents.iter().any(|document| document.id == id);
    let sources = spec
        .requirements
        .iter()
        .map(|row| (&row.source, &row.at))
        .chain(spec.excluded.iter().map(|row| (&row.source, &row.at)))
        .chain(spec.resolutions.iter().flat_map(|row| row.sources.iter().map(|s| (s, &row.at))));
    for (source, at) in sources {
        if !document(&source.document) {
            let message = format!("unknown document: {}", source.document);
            return Err(SpecError::broken(at, message));
        }
    }
    for row in &spec.requirements {
        if spec.section(&row.section).is_none() {
            return Err(SpecError::broken(&row.at, format!("unknown section: {}", row.section)));
        }
        for id in &row.resolutions {
            if spec.resolution(id).is_none() {
                return Err(SpecError::broken(&row.at, format!("unknown resolution: {id}")));
            }
        }
        for (name, threshold) in &row.thresholds {
            if !threshold.value.is_finite() {
                let message = format!("threshold is not a finite number: {name}");
                return Err(SpecError::broken(&row.at, message));
            }
        }
    }
    for row in &spec.limits {
        for id in &row.requirements {
            if spec.requirement(id).is_none() {
                return Err(SpecError::broken(&row.at, format!("unknown requirement: {id}")));
            }
        }
    }
    Ok(())
}

fn points(spec: &Spec) -> Result<(), SpecError> {
    for section in &spec.sections {
        let rows = spec.requirements_of(&section.id);
        let (count, sum) = rows.fold((0, 0), |(count, sum), row| (count + 1, sum + row.points));
        if count == 0 {
            let message = format!("section without requirements: {}", section.id);
            return Err(SpecError::broken(&section.at, message));
        }
        if sum != section.points {
            let message = format!(
                "points of section {} do not add up: it declares {}, its requirements have {sum}",
                section.id, section.points
            );
            return Err(SpecError::broken(&section.at, message));
        }
    }
    Ok(())
}

/// The checklist has rows 1 to 100, in order, with one point each. Requirements of other families
/// have no points.
fn checklist(spec: &Spec) -> Result<(), SpecError> {
    let mut expected = 0;
    for row in &spec.requirements {
        let family = spec.section(&row.section).map(|section| section.family);
        if family != Some(Family::Checklist) {
            if row.points != 0 {
                let message = format!("only the checklist has points: {}", row.id);
                return Err(SpecError::broken(&row.at, message));
            }
            continue;
        }
        expected += 1;
        let number = row.id.rsplit('-').next().filter(|digits| digits.len() == 3);
        if number.and_then(|digits| digits.parse::<u32>().ok()) != Some(expected) {
            let message = format!("expected checklist row {expected:03}, found: {}", row.id);
            return Err(SpecError::broken(&row.at, message));
        }
        if row.points != 1 {
            let message = format!("a checklist row must have one point: {}", row.id);
            return Err(SpecError::broken(&row.at, message));
        }
    }
    if expected != CHECKLIST {
        let at = Place { file: "spec/checklist.yaml", ..Place::default() };
        let message = format!("the checklist has {expected} rows, not {CHECKLIST}");
        return Err(SpecError::broken(&at, message));
    }
    for row in &spec.requirements {
        if row.severity == Severity::Warning && row.points == 0 {
            let message = format!("only the checklist has warnings: {}", row.id);
            return Err(SpecError::broken(&row.at, message));
        }
    }
    Ok(())
}

/// Every failure of the contract has either one EMB-E code, or a reason why it has none.
fn error_codes(spec: &Spec) -> Result<(), SpecError> {
    let coded = spec.error_codes.iter().map(|row| (&row.failures, &row.at));
    let uncoded = spec.uncoded.iter().map(|row| (&row.failures, &row.at));
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (failures, at) in coded.chain(uncoded) {
        for failure in failures {
            if !seen.insert(failure.name()) {
                let message = format!("failure is mapped twice: {}", failure.name());
                return Err(SpecError::broken(at, message));
            }
        }
    }
    let at = Place { file: "spec/error_codes.yaml", ..Place::default() };
    for name in variants::names::<Code>() {
        if !seen.contains(*name) {
            return Err(SpecError::broken(&at, format!("failure is not mapped: {name}")));
        }
    }
    for row in &spec.error_codes {
        let digits = row.code.strip_prefix("EMB-E").unwrap_or_default();
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SpecError::broken(&row.at, format!("malformed code: {}", row.code)));
        }
    }
    Ok(())
}

/// A profile's written list is what its rule selects, in the spec's order.
fn profiles(spec: &Spec) -> Result<(), SpecError> {
    for profile in &spec.profiles {
        for id in &profile.requirements {
            if spec.requirement(id).is_none() {
                let message = format!("unknown requirement in profile {}: {id}", profile.name);
                return Err(SpecError::broken(&profile.at, message));
            }
        }
        let ruled: Vec<&str> = spec
            .requirements
            .iter()
            .filter(|row| profile.rule.takes(row))
            .map(|row| row.id.as_str())
            .collect();
        let differs = |id: &&&str| !profile.requirements.iter().any(|frozen| frozen == **id);
        if let Some(missing) = ruled.iter().find(differs) {
            let message =
                format!("profile {} lacks {missing}, which its rule selects", profile.name);
            return Err(SpecError::broken(&profile.at, message));
        }
        let extra = profile.requirements.iter().find(|id| !ruled.contains(&id.as_str()));
        if let Some(extra) = extra {
            let message =
                format!("profile {} lists {extra}, which its rule does not select", profile.name);
            return Err(SpecError::broken(&profile.at, message));
        }
        if profile.requirements.len() != ruled.len() || profile.requirements != ruled {
            let message =
                format!("the list of profile {} is not in the spec's order", profile.name);
            return Err(SpecError::broken(&profile.at, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::requirement::{Requirement, Section};
    use super::*;

    fn spec() -> Spec {
        Spec::embedded().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_frozen_list_that_drifts_is_refused() {
        let mut spec = spec();
        spec.profiles[1].requirements.pop();
        let message = all(&spec).unwrap_err().to_string();
        assert!(message.contains("profile host lacks "), "{message}");
        assert!(message.starts_with("spec/profiles.yaml:"), "{message}");
    }

    #[test]
    fn a_list_with_more_than_its_rule_selects_is_refused() {
        let mut spec = spec();
        let host = &spec.profiles[1];
        let other = spec.requirements.iter().find(|row| !host.rule.takes(row));
        let other = other.expect("the host profile is not everything").id.clone();
        spec.profiles[1].requirements.push(other.clone());
        let message = all(&spec).unwrap_err().to_string();
        assert!(message.contains(&format!("profile host lists {other}, which")), "{message}");
    }

    /// The first requirement of another family than the checklist.
    fn elsewhere(spec: &mut Spec) -> &mut Requirement {
        let section = spec.sections.iter().find(|section| section.family != Family::Checklist);
        let section = section.expect("another family").id.clone();
        let found = spec.requirements.iter_mut().find(|row| row.section == section);
        found.expect("a requirement")
    }

    fn endless_threshold(spec: &mut Spec) {
        let mut thresholds =
            spec.requirements.iter_mut().flat_map(|row| row.thresholds.values_mut());
        thresholds.next().expect("a threshold").value = f64::INFINITY;
    }

    fn an_empty_section(spec: &mut Spec) {
        let section = Section { id: "ZZ".to_owned(), points: 0, ..spec.sections[0].clone() };
        spec.sections.push(section);
    }

    fn one_point_less(spec: &mut Spec) {
        spec.sections[0].points -= 1;
    }

    fn a_point_elsewhere(spec: &mut Spec) {
        let row = elsewhere(spec);
        row.points = 1;
        let section = row.section.clone();
        let section = spec.sections.iter_mut().find(|one| one.id == section);
        section.expect("its section").points += 1;
    }

    /// The sum of the section stays the same.
    fn two_points_for_one(spec: &mut Spec) {
        (spec.requirements[0].points, spec.requirements[1].points) = (2, 0);
    }

    fn ninety_nine_rows(spec: &mut Spec) {
        let other = elsewhere(spec).section.clone();
        let last = spec.requirements.iter_mut().find(|row| row.id.ends_with("-100"));
        let last = last.expect("row 100");
        let own = std::mem::replace(&mut last.section, other);
        last.points = 0;
        let own = spec.sections.iter_mut().find(|section| section.id == own);
        own.expect("its section").points -= 1;
    }

    fn a_warning_elsewhere(spec: &mut Spec) {
        elsewhere(spec).severity = Severity::Warning;
    }

    #[test]
    fn breaches_between_files_are_found() {
        type Damage = fn(&mut Spec);
        let breaches: [(Damage, &str); 25] = [
            (|spec| spec.requirements[3].id = "F-BUILD-003".into(), "defined twice"),
            (|spec| spec.requirements[0].section = "XI".into(), "unknown section"),
            (|spec| spec.requirements[0].points = 2, "do not add up"),
            (|spec| spec.requirements[0].resolutions.push("R0".into()), "unknown resolution"),
            (|spec| spec.requirements[0].source.document = "HEARSAY".into(), "unknown document"),
            (|spec| spec.error_codes[0].failures.clear(), "failure is not mapped"),
            (|spec| spec.error_codes[0].failures.push(Code::Overlap), "failure is mapped twice"),
            (|spec| spec.resolutions[0].sources[0].document.clear(), "unknown document: "),
            (|spec| spec.excluded[0].source.document = "X".into(), "unknown document: X"),
            (|spec| spec.sections[1].id.clear(), "section without a name"),
            (|spec| spec.profiles[1].name = "full".into(), "profile is defined twice: full"),
            (|spec| spec.classes[1].name = spec.classes[0].name.clone(), "class is defined"),
            (
                |spec| spec.error_codes[1].name = spec.error_codes[0].name.clone(),
                "error name is defined twice",
            ),
            (|spec| spec.limits[0].requirements.push("F-X".into()), "unknown requirement: F-X"),
            (endless_threshold, "threshold is not a finite number: "),
            (an_empty_section, "section without requirements: ZZ"),
            (one_point_less, "do not add up: it declares"),
            (a_point_elsewhere, "only the checklist has points: "),
            (|spec| spec.requirements[0].id = "F-BUILD-1".into(), "expected checklist row 001"),
            (two_points_for_one, "a checklist row must have one point: F-BUILD-001"),
            (ninety_nine_rows, "the checklist has 99 rows, not 100"),
            (a_warning_elsewhere, "only the checklist has warnings: "),
            (|spec| spec.error_codes[0].code = "EMB-E1".into(), "malformed code: EMB-E1"),
            (
                |spec| spec.profiles[1].requirements.push("F-X".into()),
                "unknown requirement in profile host: F-X",
            ),
            (|spec| spec.profiles[1].requirements.swap(0, 1), "not in the spec's order"),
        ];
        for (damage, expected) in breaches {
            let mut spec = spec();
            damage(&mut spec);
            let message = all(&spec).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_code_and_its_cases_share_one_number() {
        let spec = spec();
        for failure in variants::names::<Code>() {
            let failure: Code = serde_json::from_value((*failure).into()).unwrap();
            let row = spec.error_code_of(failure);
            if let Some(family) = failure.family() {
                assert_eq!(row, spec.error_code_of(family), "{}", failure.name());
            }
            let reasons =
                spec.uncoded().iter().filter(|row| row.failures.contains(&failure)).count();
            assert_eq!(usize::from(row.is_some()) + reasons, 1, "{}", failure.name());
        }
    }
}
