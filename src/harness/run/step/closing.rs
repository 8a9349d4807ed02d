//! Looks back on the run: whether the loader's program is still the same, and how long the run has waited.

use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Compares the files of the loader's program with what they were at the first hello.
pub fn same_program(case_run: &mut CaseRun<'_>) -> Result<(), CaseEnd> {
    case_run.begin("read the files of the loader's program again");
    let Some(program) = case_run.context.program() else {
        return Err(CaseEnd::Untested("needs the loader in its own process".to_owned()));
    };
    let changed = case_run.gathering(|_| program.changed());
    let found = (!changed.is_empty()).then(|| changed.join(", "));
    case_run.check(Check::absent("files that were changed", "none", found, Basis::Observed))
}

/// Compares the waits of the whole run with its budget.
pub fn within_budget(case_run: &mut CaseRun<'_>) -> Result<(), CaseEnd> {
    case_run.begin("add up how long the run has waited for the loader");
    let waiting = &case_run.context.waiting;
    let Some(budget) = waiting.budget() else {
        return Err(CaseEnd::Untested("the run has no waiting budget".to_owned()));
    };
    let spent = waiting.spent().as_secs_f64();
    let texts =
        |digits: Digits| (format!("at most {}", budget.as_secs_f64()), digits.fixed(spent, 3));
    let what = "seconds spent waiting for the loader";
    case_run.check(Check::measured(what, texts, Basis::Observed))
}
