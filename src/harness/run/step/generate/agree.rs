//! One model in several formats must give the same answer in each.

use crate::contract::reply::Generated;
use crate::harness::case::formats::Agree;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::expected::payload;
use crate::harness::run::step::greedy::greedy;
use crate::harness::run::step::{compare, prompt};

/// Asks each model, and compares with the first.
///
/// # Errors
/// Why the case ends here.
pub fn agree(case_run: &mut CaseRun<'_>, step: &Agree) -> Result<(), CaseEnd> {
    let seed = case_run.seed(&format!("prompt {}", case_run.steps.len()));
    case_run.begin(format!(
        "ask {} the same: {}",
        step.models.join(" and "),
        prompt::words(&step.prompt)
    ));
    let Some((first, others)) = step.models.split_first() else {
        return Err(CaseEnd::Fault("the step names no models".to_owned()));
    };
    let file = case_run.model(first)?.file.clone();
    let made = case_run
        .gathering(|case_run| prompt::make(&step.prompt, case_run.placed_model(&file)?, seed))?;
    let (wanted, logits) = greedy(case_run, first, &made, step.limit)?;
    let held = case_run.model(first)?.loaded.held_bytes;
    let first_payload = payload(case_run, first)?;
    for name in others {
        let (found, own) = greedy(case_run, name, &made, step.limit)?;
        let tokens = |of: &Generated| format!("{:?}", of.tokens);
        let what = format!("tokens of {name}, as of {first}");
        case_run.check(Check::equal(what, tokens(&wanted), tokens(&found), Basis::Observed))?;
        let what = format!("logits of {name}, compared with those of {first}");
        compare::output(case_run, &what, &own, &logits, step.tolerance)?;
        let own = case_run.model(name)?.loaded.held_bytes;
        let what = format!("bytes held for {name}, as for {first}");
        // Vectors may have a wider element type in one format than in another. Allocations are
        // rounded up by less than this tolerance.
        // A loader may claim any number.
        let wanted = held.saturating_add(payload(case_run, name)?).saturating_sub(first_payload);
        let slack = wanted / 50 + 4096;
        let most = wanted.saturating_add(slack);
        let wanted = format!("{} to {most}", wanted.saturating_sub(slack));
        case_run.check(Check::within(what, wanted, own, Basis::Declared))?;
    }
    Ok(())
}
