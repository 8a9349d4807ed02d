//! One model in several formats, asked the same.

use super::super::bytes;
use super::super::encoder::{compare, known};
use super::generate::read;
use super::prompt;
use crate::contract::decoder::Sampling;
use crate::contract::encoder::State;
use crate::contract::reply::{Generated, Reply};
use crate::contract::request::{self, Request};
use crate::harness::case::formats::Agree;
use crate::harness::record::{Basis, Check};
use crate::harness::run::attempt::{Attempt, Stop};

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
    let (wanted, logits) = ask(attempt, step, first, &made)?;
    let held = attempt.model(first)?.loaded.held_bytes;
    let payload = bytes::payload(attempt, first)?;
    for name in others {
        let (found, own) = ask(attempt, step, name, &made)?;
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

fn ask(
    attempt: &mut Attempt<'_>,
    step: &Agree,
    name: &str,
    made: &prompt::Made,
) -> Result<(Generated, State), Stop> {
    let into = attempt.scratch_file();
    let request = request::Generate {
        handle: attempt.model(name)?.handle,
        prompt: made.prompt.clone(),
        limit: step.limit,
        sampling: Sampling::GREEDY,
        into: Some(into.clone()),
    };
    let generated = match attempt.ask(Request::Generate(request), 0)? {
        Ok(Reply::Generate(generated)) => generated,
        Ok(other) => return Err(Stop::Fault(format!("a {} reply to generate", other.verb()))),
        Err(failure) => return Err(attempt.unexpected("generated", &failure)),
    };
    attempt.check(Check::of(
        format!("tokens given to {name}"),
        format!("{:?}", made.tokens),
        format!("{:?}", generated.prompt),
        made.tokens == generated.prompt,
        Basis::Declared,
    ))?;
    match read(&into, &generated) {
        Ok(logits) => Ok((generated, logits)),
        Err(why) => {
            let check = Check::of("file", "the logits, as claimed", why, false, Basis::Observed);
            Err(attempt.check(check).err().unwrap_or(Stop::Failed))
        }
    }
}
