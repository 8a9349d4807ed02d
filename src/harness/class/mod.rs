//! Classes of loaders over the suite: the table that a record carries, and the check that the frozen
//! lists of `spec/classes.yaml` are what their rules select.

use std::collections::{BTreeMap, BTreeSet};

use super::case::Case;
use super::record::class::scope::divides;
use super::record::class::{Claims, ClassRow, Table};
use super::spec::{Class, ClassRule, Kind, Spec};
use crate::contract::capability;
use crate::contract::{Capability, Device};

/// The table of a suite.
pub fn table(spec: &Spec, cases: &[Case]) -> Table {
    let mut relies: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for case in cases {
        let words: Vec<String> = case.words().into_iter().collect();
        relies.entry(words.join(" ")).or_default().push(case.id());
    }
    let policy = cases.iter().filter(|case| kind(spec, case) == Kind::Policy).map(Case::id);
    Table { classes: spec.classes().iter().map(row).collect(), relies, policy: policy.collect() }
}

/// The kind of a case: its requirement's, unless it says that it is policy.
pub fn kind(spec: &Spec, case: &Case) -> Kind {
    match (&case.policy, spec.kind(&case.requirement)) {
        (None, Some(group)) => group.kind,
        _ => Kind::Policy,
    }
}

fn row(class: &Class) -> ClassRow {
    let names = |all: &BTreeSet<Capability>| -> Vec<String> {
        all.iter().copied().map(capability::name).collect()
    };
    ClassRow {
        name: class.name.clone(),
        version: class.version.clone(),
        core: names(&class.core),
        host: class.host.as_ref().map(names),
        gpu: class.gpu.as_ref().map(names),
        one_of: names(&class.one_of),
        about: names(&class.about),
        features: names(&class.features),
        whole: class.rule.is_whole(),
        requirements: class.requirements.clone(),
    }
}

/// Checks every frozen list against the result of its rule.
///
/// # Errors
/// Every class whose list differs, with the list that its rule gives, as a text.
pub fn check(spec: &Spec, cases: &[Case]) -> Result<(), String> {
    let table = table(spec, cases);
    let mut wrong = Vec::new();
    for (class, row) in spec.classes().iter().zip(&table.classes) {
        let ruled = ruled(spec, &table, class, row);
        if class.requirements != ruled {
            wrong.push(format!(
                "{}: the list of class {} is not what its rule selects: expected [{}], found [{}]",
                class.at,
                class.name,
                ruled.join(", "),
                class.requirements.join(", "),
            ));
        }
        if class.rule.is_whole()
            && let Some(case) = cases.iter().find(|case| beyond(case, class))
        {
            wrong.push(format!(
                "{}: class {} has {}, which needs more than its core",
                class.at,
                class.name,
                case.id()
            ));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// The core requirements that the rule of a class selects, in the order of the spec.
fn ruled(spec: &Spec, table: &Table, class: &Class, row: &ClassRow) -> Vec<String> {
    let mut ids = BTreeSet::new();
    for gpu in [false, true] {
        let Some(core) = class.core_on(gpu) else { continue };
        let names: Vec<String> =
            core.iter().chain(&class.one_of).copied().map(capability::name).collect();
        let declared = names.iter().map(String::as_str).collect();
        let scope = Claims { declared, gpu }.scope(table, row);
        ids.extend(scope.cases.keys().filter_map(|id| id.split("::").next()));
    }
    let takes = |id: &str, document: &str| match &class.rule {
        ClassRule::Claims => ids.contains(id),
        ClassRule::Document(of) => of == document,
        ClassRule::Everything => true,
    };
    let rows = spec.requirements().iter();
    rows.filter(|row| takes(&row.id, &row.source.document)).map(|row| row.id.clone()).collect()
}

/// Whether a case of a whole class needs a capability that its core does not have.
fn beyond(case: &Case, class: &Class) -> bool {
    let devices = [(false, Device::Cpu, "on.gpu"), (true, Device::Cuda(0), "on.host")];
    let apart = |one: &Capability| divides(&capability::name(*one)) && !class.core.contains(one);
    class.requirements.contains(&case.requirement)
        // A case about another format, or about conversations, belongs to other classes.
        && !case.relies(None).on(Device::Cpu).iter().any(apart)
        && devices.into_iter().any(|(gpu, device, elsewhere)| {
            class.core_on(gpu).is_some_and(|core| {
                !case.words().contains(elsewhere) && !case.relies(None).on(device).is_subset(&core)
            })
        })
}

#[cfg(test)]
mod tests;
