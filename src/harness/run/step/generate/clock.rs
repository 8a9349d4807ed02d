//! Measures how long a loaded model takes to generate, by the harness's own clock.

use std::time::Instant;

use crate::contract::generation::Sampling;
use crate::contract::reply::Reply;
use crate::contract::request::{self, Request};
use crate::harness::case::generate::PromptSource;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::prompt;

/// Rounds of each figure; the median counts.
const ROUNDS: usize = 3;

/// Seconds per token after the first, from the medians of some rounds.
///
/// # Errors
/// As for [`seconds`].
pub fn per_token(
    case_run: &mut CaseRun<'_>,
    model: &str,
    prompt: usize,
    tokens: u32,
) -> Result<f64, CaseEnd> {
    let first = median(case_run, model, prompt, 1)?;
    let all = median(case_run, model, prompt, tokens)?;
    let each = (all - first) / f64::from(tokens.max(2) - 1);
    // If the clock cannot resolve the difference, the time is set to a very small one.
    Ok(each.max(1e-9))
}

/// The median of some rounds of [`seconds`], after one that warms up.
///
/// # Errors
/// As for [`seconds`].
pub fn median(
    case_run: &mut CaseRun<'_>,
    model: &str,
    prompt: usize,
    tokens: u32,
) -> Result<f64, CaseEnd> {
    seconds(case_run, model, prompt, tokens)?;
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        all.push(seconds(case_run, model, prompt, tokens)?);
    }
    all.sort_by(f64::total_cmp);
    Ok(all[ROUNDS / 2])
}

/// Seconds from a request for this many tokens to its answer, which must hold exactly as many.
///
/// # Errors
/// [`CaseEnd::Failed`] if it holds another number, or the loader refuses.
pub fn seconds(
    case_run: &mut CaseRun<'_>,
    model: &str,
    length: usize,
    tokens: u32,
) -> Result<f64, CaseEnd> {
    let (handle, file) = {
        let model = case_run.model(model)?;
        (model.handle, model.file.clone())
    };
    // A new prompt each time, so that a cached answer does not help.
    let seed = rand::random();
    let placed = case_run.placed_model(&file)?;
    if placed.given.is_some() && length + tokens as usize > placed.longest() {
        let (longest, asked) = (placed.longest(), length + tokens as usize);
        return Err(placed.lacks(format!("takes {longest} tokens, and the case needs {asked}")));
    }
    let made = prompt::make(&PromptSource::Random(length), placed, seed)?;
    let request = request::Generate {
        handle,
        prompt: made.prompt,
        limit: tokens,
        sampling: Sampling::GREEDY,
        into: None,
    };
    let began = Instant::now();
    let answer = case_run.ask(Request::Generate(request), u64::from(tokens) << 20)?;
    let took = began.elapsed().as_secs_f64();
    match answer {
        Ok(Reply::Generate(generated)) => {
            let found = generated.tokens.len();
            case_run.check(Check::equal("tokens", tokens as usize, found, Basis::Observed))?;
            Ok(took)
        }
        Ok(other) => Err(CaseEnd::Fault(format!("a {} reply to generate", other.verb()))),
        Err(failure) => Err(case_run.unexpected("generated", &failure)),
    }
}
