//! One model in several formats, asked the same.

use super::greedy::greedy;
use super::prompt;
use crate::contract::reply::Generated;
use crate::harness::case::formats::Agree;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};
use crate::harness::run::step::bytes;
use crate::harness::run::step::forward::{compare, known};

/// Asks each model, and compares with the first.
///
/// # Errors
/// Why the case ends here.
pub fn agree(attempt: &mut Attempt<'_>, step: &Agree) -> Result<(), Stop> {
    let seed = attempt.seed(&format!("prompt {}", attempt.steps.len()));
    attempt.begin(format!("ask {} the same: {:?}", step.models.join(" and "), step.prompt));
    let Some((first, others)) = step.models.split_first() else {
        return Err(Stop::Fault("models that are none cannot agree".to_owned()));
    };
    let file = attempt.model(first)?.file.clone();
    let made = attempt.gathering(|attempt| {
        prompt::make(&step.prompt, known(attempt, &file)?, seed).map_err(Stop::Fault)
    })?;
    let (wanted, logits) = greedy(attempt, first, &made, step.limit)?;
    let held = attempt.model(first)?.loaded.held_bytes;
    let payload = bytes::payload(attempt, first)?;
    for name in others {
        let (found, own) = greedy(attempt, name, &made, step.limit)?;
        let tokens = |of: &Generated| format!("{:?}", of.tokens);
        let what = format!("tokens of {name}, as of {first}");
        attempt.check(Check::equal(what, tokens(&wanted), tokens(&found), Basis::Observed))?;
        let what = format!("logits of {name}, beside those of {first}");
        compare::output(attempt, &what, &own, &logits, step.tolerance)?;
        let own = attempt.model(name)?.loaded.held_bytes;
        let what = format!("bytes held for {name}, as for {first}");
        // Vectors may be wider in one format than in another; allocations are rounded up, by less than
        // this.
        let wanted = (held + bytes::payload(attempt, name)?).saturating_sub(payload);
        let near = own.abs_diff(wanted) <= wanted / 50 + 4096;
        attempt.check(Check::of(what, wanted, own, near, Basis::Declared))?;
    }
    Ok(())
}
