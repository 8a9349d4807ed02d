//! Loads during which their file changes.
//!
//! A loader that ends before the change was made has not been tried. On a busy machine that happens
//! by chance. The file is then put back as it was, and the load is tried again.

use std::path::Path;
use std::time::Instant;

use crate::contract::Failure;
use crate::contract::reply::Reply;
use crate::contract::request::{self, Request};
use crate::harness::case::step::{Load, Meanwhile};
use crate::harness::evidence::change::{Ambush, Change};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Loads before the case is left untested. One lost race in four on a busy machine leaves one case in
/// 65,000.
const ATTEMPTS: usize = 8;

/// The answer to a load, and when it was asked and answered.
pub struct Answered {
    /// The reply or the refusal.
    pub answer: Result<Reply, Failure>,
    /// When the request was sent.
    pub began: Instant,
    /// When the answer had come.
    pub answered: Instant,
}

/// Sends a load, during which the file changes if the step asks for it.
pub fn ask(
    case_run: &mut CaseRun<'_>,
    step: &Load,
    load: &request::Load,
    size: u64,
) -> Result<Answered, CaseEnd> {
    let Some(change) = &step.meanwhile else {
        let began = Instant::now();
        let answer = case_run.ask(Request::Load(load.clone()), size)?;
        return Ok(Answered { answer, began, answered: Instant::now() });
    };
    case_run.will_change(&load.path);
    for _ in 0..ATTEMPTS {
        let ambush = case_run.gathering(|case_run| lay(case_run, &load.path, size, change))?;
        let began = Instant::now();
        let answer = case_run.ask(Request::Load(load.clone()), size);
        let answered = Instant::now();
        let changed =
            ambush.end().map_err(|error| CaseEnd::Fault(format!("changing the file: {error}")))?;
        let answer = answer?;
        if changed.is_some_and(|changed| changed <= answered) {
            return Ok(Answered { answer, began, answered });
        }
        undo(case_run, step, answer, &load.path)?;
    }
    Err(CaseEnd::Untested(format!(
        "the load ended before the file could change, {ATTEMPTS} times out of {ATTEMPTS}; run the case again \
         while the machine does nothing else, or with --jobs 1"
    )))
}

/// Frees a model that was loaded too fast, and puts the file back as it was.
fn undo(
    case_run: &mut CaseRun<'_>,
    step: &Load,
    answer: Result<Reply, Failure>,
    path: &Path,
) -> Result<(), CaseEnd> {
    if let Ok(Reply::Load(loaded)) = answer {
        let unload = Request::Unload(request::Unload { handle: loaded.handle });
        if let Err(failure) = case_run.ask(unload, 0)? {
            return Err(case_run.unexpected("unloaded", &failure));
        }
    }
    case_run.gathering(|case_run| {
        let written = case_run.file(&step.file)?.fixture.write_over(path);
        written.map_err(|error| CaseEnd::Fault(error.to_string()))
    })
}

fn lay(
    case_run: &CaseRun<'_>,
    path: &Path,
    size: u64,
    change: &Meanwhile,
) -> Result<Ambush, CaseEnd> {
    let change = match change {
        Meanwhile::Replace(other) => {
            // A copy, because the change consumes it and a later step may need the file again. It
            // is synced first, because file systems write a file out before they rename it over
            // another one.
            let other = case_run.file(other)?.fixture.write(case_run.folder());
            let other = other.map_err(|error| CaseEnd::Fault(error.to_string()))?;
            let written = std::fs::File::open(&other).and_then(|file| file.sync_all());
            written.map_err(|error| CaseEnd::Fault(error.to_string()))?;
            Change::Replace(other)
        }
        Meanwhile::Cut => Change::Cut(size / 2),
    };
    Ambush::lay(path, change).map_err(|error| CaseEnd::Fault(format!("watching the file: {error}")))
}
