//! `--failed-from` and `--untested-from`: the cases of an earlier report that are to run again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::scope::Scope;
use crate::cli::fault::Fault;
use crate::cli::weighing::Embedded;
use crate::cli::{CommandError, exit, seed};
use crate::harness::case::Case;
use crate::harness::record::{Record, Stored, Verdict};

/// Cases of earlier reports.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// Their ids.
    pub(super) ids: BTreeSet<String>,
    /// The options as they were typed.
    pub(super) typed: Vec<String>,
    seeds: BTreeSet<String>,
    loaders: Vec<(PathBuf, String)>,
}

impl Again {
    /// Reads the reports; `None` if there are none.
    ///
    /// # Errors
    /// A report that cannot be read or is about another profile; 4 if no case is to run again.
    pub(super) fn read(
        failed: Option<&Path>,
        untested: Option<&Path>,
        scope: &Scope<'_>,
        embedded: &Embedded,
    ) -> Result<Option<Again>, CommandError> {
        let mut again = Again::default();
        let wanted: [(&str, Option<&Path>, Pick); 2] =
            [("--failed-from", failed, failures), ("--untested-from", untested, not_tried)];
        for (option, path, pick) in wanted {
            let Some(path) = path else { continue };
            let record = Stored::read(path).map_err(Fault::from)?.into_record();
            let about = &record.subject.profile;
            if about != scope.name() {
                return Err(CommandError::usage(format!(
                    "{option}: {} is about {about}, and this run is of {}\n  remedy: {}",
                    path.display(),
                    scope.name(),
                    Scope::named(about, embedded)?.remedy()
                )));
            }
            for Picked { id, part } in pick(&record) {
                again.ids.insert(id.to_owned());
                let told = record.parts.get(part).filter(|part| !part.is_sealed());
                again.seeds.extend(told.map(|part| part.seed.clone()));
            }
            again.typed.push(format!("{option} {}", path.display()));
            again.loaders.push((path.to_owned(), record.subject.loader));
        }
        if again.typed.is_empty() {
            return Ok(None);
        }
        if again.ids.is_empty() {
            let typed = again.typed.join(" ");
            return Err(CommandError::new(
                exit::NOTHING_SELECTED,
                format!("nothing selected: no case is to run again by {typed}"),
            ));
        }
        Ok(Some(again))
    }

    /// Says on stderr which of the cases this suite does not have.
    pub(super) fn tell_of_strangers(&self, cases: &[Case]) {
        let known: BTreeSet<String> = cases.iter().map(Case::id).collect();
        let strangers: Vec<&str> = self.ids.difference(&known).map(String::as_str).collect();
        if !strangers.is_empty() {
            eprintln!("note: cases that this suite does not have: {}", strangers.join(", "));
        }
    }

    /// The seed of the runs that the cases come from.
    ///
    /// # Errors
    /// They come from runs of several seeds.
    pub(super) fn seed(&self) -> Result<Option<u64>, CommandError> {
        let all: Vec<&str> = self.seeds.iter().map(String::as_str).collect();
        match all.as_slice() {
            [] => Ok(None),
            [one] => seed::parse(one)
                .map(Some)
                .map_err(|why| CommandError::usage(format!("the report's seed is {one}: {why}"))),
            several => Err(CommandError::usage(format!(
                "the cases come from runs with several seeds: {}\n  remedy: name one with --seed",
                several.join(", ")
            ))),
        }
    }

    /// Compares the reports' loader with the one that is tested.
    ///
    /// # Errors
    /// They have different names.
    pub(super) fn same_loader(&self, loader: &str) -> Result<(), CommandError> {
        match self.loaders.iter().find(|(_, other)| other != loader) {
            None => Ok(()),
            Some((path, other)) => Err(CommandError::usage(format!(
                "{} is about the loader {other}, and this run tests {loader}\n  remedy: name the manifest of \
                 {other} with --loader",
                path.display()
            ))),
        }
    }
}

/// A case, and the index of the run that its seed comes from.
struct Picked<'a> {
    id: &'a str,
    part: usize,
}

/// Which cases of a record are to run again.
type Pick = fn(&Record) -> Vec<Picked<'_>>;

/// Cases that did not hold, or whose verdict is missing because something broke.
fn failures(record: &Record) -> Vec<Picked<'_>> {
    pick(record, |verdict| {
        verdict.refutes() || matches!(verdict, Verdict::Error | Verdict::Warning)
    })
}

/// Cases that were not tried. In a merge of parts of a whole profile, also those of the parts that are missing.
fn not_tried(record: &Record) -> Vec<Picked<'_>> {
    let mut picked = pick(record, |verdict| verdict == Verdict::Untested);
    let merged = record.parts.iter().position(|part| {
        part.selection.is_none() && part.plan.as_ref().is_some_and(|plan| plan.merged)
    });
    if let Some(part) = merged {
        let held: BTreeSet<&str> = record.cases.iter().map(|case| case.id.as_str()).collect();
        let rows = record.requirements.iter().filter(|row| row.in_profile);
        let missing = rows.flat_map(|row| &row.cases).filter(|id| !held.contains(id.as_str()));
        picked.extend(missing.map(|id| Picked { id, part }));
    }
    picked
}

fn pick(record: &Record, wanted: impl Fn(Verdict) -> bool) -> Vec<Picked<'_>> {
    let cases = record.cases.iter().filter(|case| wanted(case.verdict));
    cases.map(|case| Picked { id: &case.id, part: case.part }).collect()
}
