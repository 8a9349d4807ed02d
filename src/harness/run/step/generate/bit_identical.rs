//! Two models with the same weights, held in different ways, must give the same bits.

use crate::contract::generation::LOGITS;
use crate::contract::inference::{Input, State};
use crate::harness::case::generate::{BitIdentical, PromptSource};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::greedy::greedy;
use crate::harness::run::step::{batch, compare, prompt};

/// Asks both for the same and compares every bit.
pub fn bit_identical(case_run: &mut CaseRun<'_>, step: &BitIdentical) -> Result<(), CaseEnd> {
    let seed = case_run.seed(&format!("input {}", case_run.steps.len()));
    case_run.begin(format!("run {} and {} on the same input", step.model, step.to));
    let file = case_run.model(&step.model)?.file.clone();
    let path = case_run.input_file();
    let (made, gives) = case_run.gathering(|case_run| {
        let model = case_run.placed_model(&file)?;
        batch::write(&batch::random(&model.recipe, step.rows, None, seed), &path)?;
        let made = prompt::make(&PromptSource::Random(step.prompt), model, seed);
        Ok((made?, model.gives()))
    })?;
    let mut given: Vec<(State, State, Vec<u32>)> = Vec::new();
    for name in [&step.model, &step.to] {
        let handle = case_run.model(name)?.handle;
        let output = match batch::ask(case_run, (handle, gives), Input::File(path.clone()), false)?
        {
            Ok(given) => given.output,
            Err(failure) => return Err(case_run.unexpected("an output", &failure)),
        };
        let (generated, logits) = greedy(case_run, name, &made, step.limit)?;
        given.push((output, logits, generated.tokens));
    }
    let [(output, logits, tokens), (others, their_logits, their_tokens)] = given.as_slice() else {
        return Err(CaseEnd::Fault("two answers were asked for".to_owned()));
    };
    compare::same_bits(case_run, "logits of a batch", output, others)?;
    let shapes = (format!("{:?}", logits.shape), format!("{:?}", their_logits.shape));
    case_run.check(Check::equal(
        format!("shape of {LOGITS}"),
        shapes.0,
        shapes.1,
        Basis::Observed,
    ))?;
    compare::same_bits(case_run, "logits of every step", logits, their_logits)?;
    let tokens = (format!("{tokens:?}"), format!("{their_tokens:?}"));
    case_run.check(Check::equal("tokens", tokens.0, tokens.1, Basis::Observed))
}
