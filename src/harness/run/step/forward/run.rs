//! Runs a model on generated inputs and compares the output with the oracle.

use crate::contract::inference::{Batch, Input};
use crate::harness::case::forward::{Form, Forward};
use crate::harness::model::tokenizer::MadeTokenizer;
use crate::harness::run::case_run::model::PlacedModel;
use crate::harness::run::case_run::words::plain;
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::{batch, compare};

/// Runs a model and compares with the oracle in F64.
pub fn forward(case_run: &mut CaseRun<'_>, step: &Forward) -> Result<(), CaseEnd> {
    let (handle, file) = {
        let model = case_run.model(&step.model)?;
        (model.handle, model.file.clone())
    };
    let seed = batch::seed(case_run, step.input.as_deref());
    let form = match step.form {
        Form::PaddingRight => String::new(),
        form => format!(", {}", plain(form)),
    };
    case_run.begin(format!("run {1} on {0} inputs{form}", step.rows, step.model));
    let (input, wanted, batch, gives, tolerance) = case_run.gathering(|case_run| {
        let path = case_run.input_file();
        let model = case_run.placed_model(&file)?;
        let gives = model.gives();
        let (input, batch) = match (&model.tokenizer, step.texts) {
            (Some(tokenizer), true) => texts(tokenizer, model, step, seed)?,
            _ => {
                let batch = batch::formed(&model.recipe, step.form, step.rows, step.tokens, seed);
                batch::write(&batch, &path)?;
                (Input::File(path), batch)
            }
        };
        let wanted = model.oracle(&batch, step.trace);
        let mut wanted = wanted.map_err(|error| model.lacks(format!("the oracle: {error}")))?;
        compare::blank_padding(&mut wanted, &batch);
        Ok((input, wanted, batch, gives, model.tolerance(step.tolerance)))
    })?;
    let mut first = None;
    for _ in 0..step.times {
        let mut given = match batch::ask(case_run, (handle, gives), input.clone(), step.trace)? {
            Ok(given) => given,
            Err(failure) => return Err(case_run.unexpected("an output", &failure)),
        };
        compare::output(case_run, gives.name(), &given.output, &wanted.output, tolerance)?;
        if step.trace {
            compare::blank_padding(&mut given, &batch);
            compare::trace(case_run, &given, &wanted)?;
        }
        match &first {
            None => first = Some(given),
            Some(first) => {
                compare::same_bits(case_run, "the same input again", &first.output, &given.output)?;
            }
        }
    }
    Ok(())
}

/// Texts and the batch that they must become.
fn texts(
    tokenizer: &MadeTokenizer,
    model: &PlacedModel,
    step: &Forward,
    seed: u64,
) -> Result<(Input, Batch), CaseEnd> {
    let longest = model.recipe.sizes.longest(model.recipe.architecture);
    let (mut texts, mut rows) = (Vec::new(), Vec::new());
    for text in &step.said {
        let (text, ids) = tokenizer.said(text, longest, seed).map_err(CaseEnd::Fault)?;
        texts.push(text);
        rows.push(ids);
    }
    let random = if step.said.is_empty() { step.rows } else { 0 };
    for row in 0..random {
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
    Ok((Input::Texts(texts), batch))
}
