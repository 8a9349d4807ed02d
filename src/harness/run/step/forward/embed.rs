//! A model run on inputs made for this run, against the oracle.

use super::{batch, compare};
use crate::contract::inference::{Batch, Input, TracedForward};
use crate::harness::case::forward::Forward;
use crate::harness::model::tokenizer::MadeTokenizer;
use crate::harness::oracle::forward::{Oracle, Precision};
use crate::harness::run::PlacedModel;
use crate::harness::run::case_run::{Attempt, Stop};

/// Runs a model and compares with the oracle in F64.
pub fn forward(attempt: &mut Attempt<'_>, step: &Forward) -> Result<(), Stop> {
    let (handle, file) = {
        let model = attempt.model(&step.model)?;
        (model.handle, model.file.clone())
    };
    let seed = seed(attempt, step.input.as_deref());
    attempt.begin(format!("run {1} on {0} inputs", step.rows, step.model));
    let (input, wanted, batch, gives) = attempt.gathering(|attempt| {
        let path = attempt.scratch_file();
        let model = known(attempt, &file)?;
        let gives = model.gives();
        let (input, batch) = match (&model.tokenizer, step.texts) {
            (Some(tokenizer), true) => texts(tokenizer, model, step, seed),
            _ => {
                let batch = batch::random(&model.recipe, step.rows, step.tokens, seed);
                batch::write(&batch, &path)?;
                (Input::File(path), batch)
            }
        };
        let mut oracle = Oracle::new(&model.model, Precision::F64).map_err(fault)?;
        let mut wanted = oracle.forward(&batch, step.trace).map_err(fault)?;
        compare::blank_padding(&mut wanted, &batch);
        Ok((input, wanted, batch, gives))
    })?;
    let mut first = None;
    for _ in 0..step.times {
        let mut given = match batch::ask(attempt, (handle, gives), input.clone(), step.trace)? {
            Ok(given) => given,
            Err(failure) => return Err(attempt.unexpected("an output", &failure)),
        };
        compare::output(attempt, gives.name(), &given.output, &wanted.output, step.tolerance)?;
        if step.trace {
            compare::blank_padding(&mut given, &batch);
            compare::trace(attempt, &given, &wanted)?;
        }
        match &first {
            None => first = Some(given),
            Some(first) => {
                compare::same_bits(attempt, "the same input again", &first.output, &given.output)?;
            }
        }
    }
    Ok(())
}

/// The seed of an input. Every step of a case has another one, unless it has a name.
pub fn seed(attempt: &Attempt<'_>, name: Option<&str>) -> u64 {
    match name {
        None => attempt.seed(&format!("input {}", attempt.steps.len())),
        Some(name) => attempt.seed(&format!("input named {name}")),
    }
}

/// Texts and the batch that they must become.
fn texts(
    tokenizer: &MadeTokenizer,
    model: &PlacedModel,
    step: &Forward,
    seed: u64,
) -> (Input, Batch) {
    let longest = model.recipe.sizes.longest(model.recipe.architecture);
    let (mut texts, mut rows) = (Vec::new(), Vec::new());
    for row in 0..step.rows {
        let words = if step.too_long && row == 0 { longest + 9 } else { 2 + 3 * row };
        let (text, ids) = tokenizer.text(words, longest, seed + row as u64);
        texts.push(text);
        rows.push(ids);
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for row in &rows {
        ids.extend(row);
        ids.extend(vec![model.recipe.sizes.padding as i64; columns - row.len()]);
        mask.extend((0..columns).map(|at| i64::from(at < row.len())));
    }
    let batch = Batch::Tokens { rows: rows.len(), columns, ids, mask, types: Vec::new() };
    (Input::Texts(texts), batch)
}

/// The model behind a file.
pub fn known<'a>(attempt: &'a Attempt<'_>, file: &str) -> Result<&'a PlacedModel, Stop> {
    attempt
        .encoders
        .get(file)
        .ok_or_else(|| Stop::Fault(format!("no model that can be run: {file}")))
}

/// The oracle's failure is the harness's own.
pub fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::Fault(format!("the oracle: {error}"))
}
