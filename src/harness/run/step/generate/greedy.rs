//! Greedy tokens with their logits, as steps ask for them that compare one model with another.

use super::answer::read;
use super::prompt;
use crate::contract::generation::Sampling;
use crate::contract::inference::State;
use crate::contract::reply::{Generated, Reply};
use crate::contract::request::{self, Request};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};

/// Lets a model generate.
///
/// # Errors
/// Where it does not, was given other tokens than asked, or writes no logits.
pub fn greedy(
    attempt: &mut Attempt<'_>,
    name: &str,
    made: &prompt::Made,
    limit: u32,
) -> Result<(Generated, State), Stop> {
    let into = attempt.scratch_file();
    let request = request::Generate {
        handle: attempt.model(name)?.handle,
        prompt: made.prompt.clone(),
        limit,
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
