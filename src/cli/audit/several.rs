//! Runs the suite on several mutants at the same time, because the cases of one mutant are few and
//! starting its process takes longer than most of them. A mutant with many cases is tried by several
//! workers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::auditor::Auditor;
use crate::cli::CommandError;
use crate::harness::case::Case;
use crate::harness::record::Record;
use crate::harness::run::Selection;
use crate::mutants::Mutant;

/// Gets the record of each mutant as soon as its last case is decided.
pub type Done<'a> = dyn FnMut(&Mutant, &Record) -> Result<(), CommandError> + Send + 'a;

/// Most cases that one worker tries on a mutant. After a refuted case the loader's process is started
/// again, so a mutant with hundreds of cases would otherwise outlast all others.
const TOGETHER: usize = 24;

/// Runs the suite on these mutants. Cases that must run alone come last, one at a time.
///
/// # Errors
/// Where the suite cannot be run on a mutant at all, and those of `done`. What has begun is finished
/// first.
pub fn try_mutants(
    auditor: &Auditor,
    mutants: &[&Mutant],
    claimed: bool,
    done: &mut Done<'_>,
) -> Result<(), CommandError> {
    let (alone, portions) = portions(auditor, mutants, claimed);
    let lone = alone.values().map(BTreeSet::len);
    auditor.turn_to_mutants(lone.chain(portions.iter().map(|part| part.cases.len())).sum());
    let mut state = State { done, tried: BTreeMap::new(), broken: None };
    for portion in &portions {
        state.tried.entry(portion.mutant.name).or_default().left += 1;
    }
    let workers = auditor.jobs().clamp(1, portions.len().max(1));
    let waiting = Mutex::new(VecDeque::from(portions));
    let state = Mutex::new(state);
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        while lock().broken.is_none() {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(Portion { mutant, cases }) = next else { break };
            let record = part(auditor, mutant, claimed, &cases);
            lock().add(mutant, record, alone.contains_key(mutant.name));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let State { done, mut tried, broken } =
        state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = broken {
        return Err(error);
    }
    for mutant in mutants {
        let Some(cases) = alone.get(mutant.name) else { continue };
        let last = part(auditor, mutant, claimed, cases)?;
        let before = tried.remove(mutant.name).and_then(|tried| tried.record);
        done(mutant, &joined(before, last))?;
    }
    Ok(())
}

/// Cases of one mutant that one worker tries.
struct Portion<'a> {
    mutant: &'a Mutant,
    cases: BTreeSet<String>,
}

/// By mutant, the cases that must run alone; and portions of the others. Mutants with more cases come
/// first, because the last portion to end decides how long an audit takes. A mutant without a case has
/// one empty portion, so that it is told, too.
fn portions<'a>(
    auditor: &Auditor,
    mutants: &[&'a Mutant],
    claimed: bool,
) -> (BTreeMap<&'static str, BTreeSet<String>>, Vec<Portion<'a>>) {
    let cases = auditor.embedded.cases.cases();
    let alone: BTreeSet<String> = cases.iter().filter(|case| case.alone).map(Case::id).collect();
    let (mut apart, mut together) = (BTreeMap::new(), Vec::new());
    for mutant in mutants {
        let ids = auditor.plan(&auditor.selection_for(mutant, claimed));
        let (own, rest): (Vec<String>, Vec<String>) =
            ids.into_iter().partition(|id| alone.contains(id));
        if !own.is_empty() {
            apart.insert(mutant.name, own.into_iter().collect());
        } else if rest.is_empty() {
            together.push((0, Portion { mutant, cases: BTreeSet::new() }));
        }
        for ids in rest.chunks(TOGETHER) {
            together.push((rest.len(), Portion { mutant, cases: ids.iter().cloned().collect() }));
        }
    }
    together.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    (apart, together.into_iter().map(|(_, portion)| portion).collect())
}

/// What the workers share.
struct State<'d> {
    done: &'d mut Done<'d>,
    tried: BTreeMap<&'static str, Tried>,
    broken: Option<CommandError>,
}

/// How far a mutant is.
#[derive(Default)]
struct Tried {
    /// Portions that are not decided yet.
    left: usize,
    record: Option<Record>,
}

impl State<'_> {
    /// Adds a portion's record. If it was the mutant's last one, tells it.
    fn add(&mut self, mutant: &Mutant, record: Result<Record, CommandError>, has_alone: bool) {
        let added = record.and_then(|record| {
            let tried = self.tried.entry(mutant.name).or_default();
            tried.left = tried.left.saturating_sub(1);
            let record = joined(tried.record.take(), record);
            if tried.left == 0 && !has_alone {
                return (self.done)(mutant, &record);
            }
            tried.record = Some(record);
            Ok(())
        });
        if let Err(error) = added {
            self.broken.get_or_insert(error);
        }
    }
}

/// A record with the cases of both.
fn joined(before: Option<Record>, mut record: Record) -> Record {
    let mut cases = before.map(|record| record.cases).unwrap_or_default();
    cases.append(&mut record.cases);
    Record { cases, ..record }
}

/// The record of the mutant's cases among these.
fn part(
    auditor: &Auditor,
    mutant: &Mutant,
    claimed: bool,
    among: &BTreeSet<String>,
) -> Result<Record, CommandError> {
    let selection = auditor.selection_for(mutant, claimed);
    auditor.record(mutant, &Selection { among: Some(among.clone()), ..selection }, 1)
}
