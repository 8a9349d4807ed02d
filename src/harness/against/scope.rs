//! What a run had to weigh, from what its record says of itself: a profile, a class, or everything that the
//! loader declares.

use std::collections::BTreeSet;

use super::own::Own;
use crate::harness::record::class::{Claims, DECLARED};
use crate::harness::record::{Part, Record, RequirementRow, Table};
use crate::harness::run::{Plan, Selection};
use crate::harness::spec::{Class, Place, Profile, Rule, Spec};

/// What a run weighed.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// The requirements of a profile.
    Profile(&'a Profile),
    /// One class.
    Class(&'a Class),
    /// Everything that the loader declares.
    Declared,
}

/// The requirements and cases of one run.
pub(super) struct Wanted {
    /// Every requirement of the suite, as this run's record must have it.
    pub(super) rows: Vec<RequirementRow>,
    /// Every case that the run could schedule, in the order of the spec.
    pub(super) cases: Vec<String>,
}

/// What a manifest may name beside the capabilities, and the record does not tell.
const NAMED: [&[&str]; 4] = [&[], &["toolchain"], &["program"], &["toolchain", "program"]];

impl<'a> Scope<'a> {
    /// What the name in a record's subject stands for.
    pub(super) fn named(name: &str, spec: &'a Spec) -> Option<Self> {
        match spec.class(name) {
            Some(class) => Some(Scope::Class(class)),
            None if name == DECLARED => Some(Scope::Declared),
            None => spec.profile(name).map(Scope::Profile),
        }
    }

    /// The option that asks for it; empty for what the loader declares.
    pub(super) fn option(self) -> String {
        match self {
            Scope::Profile(profile) => format!("--profile {} ", profile.name),
            Scope::Class(class) => format!("--class {} ", class.name),
            Scope::Declared => String::new(),
        }
    }

    /// What one run of a record had to weigh.
    pub(super) fn of_part(
        self,
        part: &Part,
        record: &Record,
        table: &Table,
        own: Own<'_>,
    ) -> Wanted {
        let gpu = part.device != "cpu";
        let profile = match self {
            Scope::Profile(profile) => profile.clone(),
            Scope::Class(_) | Scope::Declared => Profile {
                name: record.subject.profile.clone(),
                summary: String::new(),
                gpu_certificate: gpu,
                rule: Rule::Everything,
                requirements: own.spec.requirements().iter().map(|row| row.id.clone()).collect(),
                at: Place::default(),
            },
        };
        let plan = Plan::new(own.spec, &profile, own.cases.cases(), &Selection::default());
        let cases: Vec<String> = plan.scheduled.iter().map(|case| case.id()).collect();
        let all = Wanted { rows: plan.requirements, cases };
        let yes = part.capabilities.iter().filter(|(_, word)| *word == "yes");
        let claims = Claims { declared: yes.map(|(name, _)| name.as_str()).collect(), gpu };
        match self {
            Scope::Profile(_) => all,
            Scope::Class(class) => match table.class(&class.name) {
                Some(row) => all.narrowed(&claims.scope(table, row).all()),
                None => all,
            },
            Scope::Declared => {
                let mut ways: Vec<Wanted> = NAMED
                    .iter()
                    .map(|named| all.narrowed(&claims.declared(table, named)))
                    .collect();
                let differ = |wanted: &Wanted| {
                    let rows = wanted.rows.iter().zip(&record.requirements);
                    rows.filter(|(wanted, row)| wanted.cases != row.cases).count()
                };
                ways.sort_by_key(differ);
                ways.swap_remove(0)
            }
        }
    }
}

impl Wanted {
    /// Only these cases, and the requirements that have one of them.
    fn narrowed(&self, wanted: &BTreeSet<&str>) -> Wanted {
        let mut rows = self.rows.clone();
        for row in &mut rows {
            row.cases.retain(|id| wanted.contains(id.as_str()));
            row.in_profile &= !row.cases.is_empty();
        }
        let cases = self.cases.iter().filter(|id| wanted.contains(id.as_str()));
        Wanted { rows, cases: cases.cloned().collect() }
    }
}
