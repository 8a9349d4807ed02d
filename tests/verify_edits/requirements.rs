//! Edits of the requirements and of the table of classes.

use weighbridge::harness::record::{Record, RequirementRow, Table};

use super::edit::How::Record as Rec;
use super::edit::{Edit, noticed};
use super::runs::Base::{Earned, Refuted};

/// Every edit of this kind.
pub fn edits() -> Vec<Edit> {
    [of_rows(), of_classes()].concat()
}

fn of_rows() -> Vec<Edit> {
    vec![
        noticed("failed requirement made a warning", Refuted, Rec(|it| failed(it).warning = true)),
        noticed("requirement made a warning", Earned, Rec(|it| row(it).warning = true)),
        noticed(
            "warning made a requirement",
            Earned,
            Rec(|it| {
                let row = it.requirements.iter_mut().find(|row| row.warning);
                row.expect("a warning").warning = false;
            }),
        ),
        noticed("points", Earned, Rec(|it| row(it).points += 10)),
        noticed(
            "points moved from one requirement to another",
            Earned,
            Rec(|it| {
                it.requirements[0].points += 1;
                it.requirements[1].points -= 1;
            }),
        ),
        noticed("section of a requirement", Earned, Rec(|it| row(it).section = "X".into())),
        noticed(
            "sentence of a requirement",
            Earned,
            Rec(|it| {
                row(it).sentence = "Nothing is asked for.".into();
            }),
        ),
        noticed(
            "failed requirement put outside the profile",
            Refuted,
            Rec(|it| {
                failed(it).in_profile = false;
                let id = failed_id(it);
                it.cases.retain(|case| case.requirement != id);
            }),
        ),
        noticed(
            "requirement put into the profile",
            Refuted,
            Rec(|it| {
                let row = it.requirements.iter_mut().find(|row| !row.in_profile);
                row.expect("one outside").in_profile = true;
            }),
        ),
        noticed(
            "requirement removed with its cases",
            Earned,
            Rec(|it| {
                let id = row(it).id.clone();
                remove(it, &id);
            }),
        ),
        noticed(
            "failed requirement removed with its cases",
            Refuted,
            Rec(|it| {
                let id = failed_id(it);
                remove(it, &id);
            }),
        ),
        noticed(
            "every failed requirement removed, and the table of classes without it",
            Refuted,
            Rec(|it| {
                let ids: Vec<String> = it
                    .cases
                    .iter()
                    .filter(|case| case.verdict.refutes())
                    .map(|case| case.requirement.clone())
                    .collect();
                ids.iter().for_each(|id| remove(it, id));
            }),
        ),
        noticed(
            "requirement made up, without a case",
            Earned,
            Rec(|it| {
                let made =
                    RequirementRow { id: "F-MADE-001".into(), cases: vec![], ..row(it).clone() };
                it.requirements.push(made);
            }),
        ),
        noticed(
            "requirement renamed with its cases",
            Earned,
            Rec(|it| {
                let id = row(it).id.clone();
                let renamed = |text: &String| text.replace(&id, "F-MADE-001");
                for case in it.cases.iter_mut().filter(|case| case.requirement == id) {
                    (case.id, case.requirement) = (renamed(&case.id), renamed(&case.requirement));
                    case.repeat = renamed(&case.repeat);
                }
                let row = it.requirements.iter_mut().find(|row| row.id == id).expect("its row");
                (row.cases, row.id) = (row.cases.iter().map(renamed).collect(), renamed(&id));
            }),
        ),
        noticed(
            "requirement listed twice",
            Earned,
            Rec(|it| {
                let row = RequirementRow { cases: vec![], ..row(it).clone() };
                it.requirements.push(row);
            }),
        ),
        noticed("requirements in another order", Earned, Rec(|it| it.requirements.reverse())),
        noticed(
            "failed case taken out of its requirement",
            Refuted,
            Rec(|it| {
                let case = it.cases.iter().find(|case| case.verdict.refutes()).expect("a failure");
                let id = case.id.clone();
                it.cases.retain(|case| case.id != id);
                for row in &mut it.requirements {
                    row.cases.retain(|case| *case != id);
                }
            }),
        ),
        noticed(
            "case made up in a requirement",
            Earned,
            Rec(|it| {
                let id = format!("{}::made_up", row(it).id);
                row(it).cases.push(id);
            }),
        ),
        noticed(
            "case of one requirement listed in another",
            Earned,
            Rec(|it| {
                let id = row(it).cases[0].clone();
                it.requirements.last_mut().expect("a row").cases.push(id);
            }),
        ),
    ]
}

fn of_classes() -> Vec<Edit> {
    vec![
        noticed("table of classes removed", Earned, Rec(|it| it.classes = None)),
        noticed("class removed", Earned, Rec(|it| drop(table(it).classes.pop()))),
        noticed(
            "class made up",
            Earned,
            Rec(|it| {
                let mut made = table(it).classes[0].clone();
                made.name = "gold".into();
                table(it).classes.push(made);
            }),
        ),
        noticed("class's version", Earned, Rec(|it| table(it).classes[0].version = "9.9".into())),
        noticed("class's core", Earned, Rec(|it| drop(table(it).classes[0].core.pop()))),
        noticed("class's features", Earned, Rec(|it| table(it).classes[0].features.clear())),
        noticed(
            "class's requirements",
            Earned,
            Rec(|it| {
                table(it).classes[0].requirements.clear();
            }),
        ),
        noticed(
            "failed case made policy in the table",
            Refuted,
            Rec(|it| {
                let case = it.cases.iter().find(|case| case.verdict.refutes()).expect("a failure");
                let id = case.id.clone();
                table(it).policy.push(id);
            }),
        ),
        noticed("policy made a claim in the table", Earned, Rec(|it| drop(table(it).policy.pop()))),
        noticed(
            "what a case relies on",
            Refuted,
            Rec(|it| {
                let (words, ids) = table(it).relies.pop_first().expect("a group");
                table(it).relies.insert(format!("{words} trace"), ids);
            }),
        ),
    ]
}

/// The first requirement whose case passed.
fn row(record: &mut Record) -> &mut RequirementRow {
    let passed = record.cases.iter().find(|case| case.verdict.name() == "pass");
    let id = passed.expect("a pass").requirement.clone();
    record.requirements.iter_mut().find(|row| row.id == id && !row.warning).expect("a row")
}

fn failed_id(record: &Record) -> String {
    let failed = record.cases.iter().find(|case| case.verdict.refutes());
    failed.expect("a failure").requirement.clone()
}

fn failed(record: &mut Record) -> &mut RequirementRow {
    let id = failed_id(record);
    record.requirements.iter_mut().find(|row| row.id == id).expect("its row")
}

/// Removes a requirement wherever it is named.
fn remove(record: &mut Record, id: &str) {
    record.requirements.retain(|row| row.id != id);
    record.cases.retain(|case| case.requirement != id);
    let own = |case: &String| case.split("::").next() == Some(id);
    let table = table(record);
    table.policy.retain(|case| !own(case));
    table.relies.values_mut().for_each(|ids| ids.retain(|case| !own(case)));
    table.classes.iter_mut().for_each(|class| class.requirements.retain(|one| one != id));
}

fn table(record: &mut Record) -> &mut Table {
    record.classes.as_mut().expect("a table")
}
