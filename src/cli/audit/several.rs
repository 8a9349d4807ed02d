//! Runs the suite on several mutants at the same time, because the cases of one mutant are few and
//! starting its process takes longer than most of them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::auditor::Auditor;
use crate::cli::CommandError;
use crate::harness::case::Case;
use crate::harness::record::Record;
use crate::harness::run::Selection;
use crate::mutants::Mutant;

/// Gets the record of each mutant as soon as its last case is decided.
pub type Done<'a> = dyn FnMut(&Mutant, &Record) -> Result<(), CommandError> + Send + 'a;

/// Runs the suite on these mutants. Cases that must run alone come last, one at a time.
///
/// # Errors
/// Where the suite cannot be run on a mutant at all, and those of `done`. Mutants that have begun are
/// finished first.
pub fn try_mutants(
    auditor: &Auditor,
    mutants: &[&Mutant],
    claimed: bool,
    done: &mut Done<'_>,
) -> Result<(), CommandError> {
    let cases = auditor.embedded.cases.cases();
    let ids = |alone: bool| -> BTreeSet<String> {
        cases.iter().filter(|case| case.alone == alone).map(Case::id).collect()
    };
    let (together, alone) = (ids(false), ids(true));
    let waiting = Mutex::new(mutants.iter().copied().collect::<VecDeque<_>>());
    let shared = Mutex::new(Shared { done, later: Vec::new(), broken: None });
    let lock = || shared.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        while lock().broken.is_none() {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(mutant) = next else { break };
            let first = part(auditor, mutant, claimed, &together);
            let has_more = wants_any(auditor, mutant, claimed, &alone);
            let mut shared = lock();
            match first {
                Err(error) => shared.broken = Some(error),
                Ok(record) if has_more => shared.later.push((mutant, record)),
                Ok(record) => {
                    if let Err(error) = (shared.done)(mutant, &record) {
                        shared.broken = Some(error);
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..auditor.jobs().clamp(1, mutants.len().max(1)) {
            scope.spawn(work);
        }
    });
    let Shared { done, later, broken } =
        shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = broken {
        return Err(error);
    }
    for (mutant, mut record) in later {
        record.cases.extend(part(auditor, mutant, claimed, &alone)?.cases);
        done(mutant, &record)?;
    }
    Ok(())
}

struct Shared<'a, 'd> {
    done: &'a mut Done<'d>,
    /// Mutants that still have cases which must run alone.
    later: Vec<(&'a Mutant, Record)>,
    broken: Option<CommandError>,
}

/// The record of the mutant's cases among these.
fn part(
    auditor: &Auditor,
    mutant: &Mutant,
    claimed: bool,
    among: &BTreeSet<String>,
) -> Result<Record, CommandError> {
    let all = auditor.selection_for(mutant, claimed);
    auditor.record(mutant, &limited(all, among), 1)
}

/// Whether any of the mutant's cases is among these.
fn wants_any(auditor: &Auditor, mutant: &Mutant, claimed: bool, among: &BTreeSet<String>) -> bool {
    let selection = limited(auditor.selection_for(mutant, claimed), among);
    !auditor.plan(&selection).is_empty()
}

fn limited(selection: Selection, among: &BTreeSet<String>) -> Selection {
    let among = match &selection.among {
        None => among.clone(),
        Some(own) => own.intersection(among).cloned().collect(),
    };
    Selection { among: Some(among), ..selection }
}
