//! Two models of the same weights, held in different ways: what they give is the same, bit for bit.

use super::greedy::greedy;
use super::prompt;
use crate::contract::generation::LOGITS;
use crate::contract::inference::{Input, State};
use crate::harness::case::generate::{Alike, PromptSource};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};
use crate::harness::run::step::forward::{batch, compare, known};

/// Asks both for the same and compares every bit.
pub fn alike(attempt: &mut Attempt<'_>, step: &Alike) -> Result<(), Stop> {
    let seed = attempt.seed(&format!("input {}", attempt.steps.len()));
    attempt.begin(format!("run {} and {} on the same", step.model, step.to));
    let file = attempt.model(&step.model)?.file.clone();
    let path = attempt.scratch_file();
    let (made, gives) = attempt.gathering(|attempt| {
        let model = known(attempt, &file)?;
        batch::write(&batch::random(&model.recipe, step.rows, None, seed), &path)?;
        let made = prompt::make(&PromptSource::Random(step.prompt), model, seed);
        Ok((made.map_err(Stop::Fault)?, model.gives()))
    })?;
    let mut given: Vec<(State, State, Vec<u32>)> = Vec::new();
    for name in [&step.model, &step.to] {
        let handle = attempt.model(name)?.handle;
        let output = match batch::ask(attempt, (handle, gives), Input::File(path.clone()), false)? {
            Ok(given) => given.output,
            Err(failure) => return Err(attempt.unexpected("an output", &failure)),
        };
        let (generated, logits) = greedy(attempt, name, &made, step.limit)?;
        given.push((output, logits, generated.tokens));
    }
    let [(output, logits, tokens), (others, their_logits, their_tokens)] = given.as_slice() else {
        return Err(Stop::Fault("two answers were asked for".to_owned()));
    };
    compare::same_bits(attempt, "logits of a batch", output, others)?;
    let shapes = (format!("{:?}", logits.shape), format!("{:?}", their_logits.shape));
    attempt.check(Check::equal(
        format!("shape of {LOGITS}"),
        shapes.0,
        shapes.1,
        Basis::Observed,
    ))?;
    compare::same_bits(attempt, "logits of every step", logits, their_logits)?;
    let tokens = (format!("{tokens:?}"), format!("{their_tokens:?}"));
    attempt.check(Check::equal("tokens", tokens.0, tokens.1, Basis::Observed))
}
