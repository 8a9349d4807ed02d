//! Compares the table of classes in a record with that of the suite.

use std::collections::BTreeMap;

use super::own::at;
use crate::harness::record::{Mismatch, Table};

/// Every difference.
pub(super) fn differences(found: Option<&Table>, wanted: &Table) -> Vec<Mismatch> {
    let Some(found) = found else {
        return vec![at("classes", "the table of the suite", "none")];
    };
    let Table { classes, relies: _, policy } = wanted;
    let mut all = Vec::new();
    for class in classes {
        let place = format!("class {}", class.name);
        match found.class(&class.name) {
            None => all.push(at(place, "a class of the suite", "none in the record")),
            Some(other) if other != class => {
                all.push(at(place, as_text(class), as_text(other)));
            }
            Some(_) => {}
        }
    }
    let is_known = |name: &str| wanted.class(name).is_some();
    for class in found.classes.iter().filter(|class| !is_known(&class.name)) {
        all.push(at(format!("class {}", class.name), "no such class in the suite", "one"));
    }
    for case in policy.iter().filter(|case| !found.is_policy(case)) {
        all.push(at(case, "policy, by the suite", "no policy in the table of classes"));
    }
    for case in found.policy.iter().filter(|case| !wanted.is_policy(case)) {
        all.push(at(case, "no policy, by the suite", "policy in the table of classes"));
    }
    let by_case = |table: &Table| -> BTreeMap<String, String> {
        table.cases().map(|(case, words)| (case.to_owned(), words.join(" "))).collect()
    };
    let (own, theirs) = (by_case(wanted), by_case(found));
    for (case, words) in &own {
        match theirs.get(case) {
            Some(other) if other == words => {}
            Some(other) => {
                all.push(at(case, format!("to rely on {words:?}"), format!("{other:?}")))
            }
            None => all.push(at(case, format!("to rely on {words:?}"), "nothing in the table")),
        }
    }
    for case in theirs.keys().filter(|case| !own.contains_key(*case)) {
        all.push(at(case, "no such case in the table of classes", "one"));
    }
    if all.is_empty() && found != wanted {
        all.push(at("classes", "the order of the suite", "another order"));
    }
    all
}

fn as_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}
