//! Changes a model or its input so that the new output follows from the old one or from the oracle.
//! A loader with stored answers, or with another model, cannot satisfy these relations.

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::contract::inference::{Batch, Input, OutputKind, State, TracedForward};
use crate::contract::reply::Reply;
use crate::contract::request::{self, DtypePolicy, Request};
use crate::harness::case::forward::{Relate, Relation};
use crate::harness::model::{Architecture, Model, Recipe, surgery};
use crate::harness::oracle::forward::{Oracle, Precision};
use crate::harness::run::case_run::model::PlacedModel;
use crate::harness::run::case_run::words::plain;
use crate::harness::run::case_run::{CaseEnd, CaseRun, oracle_fault};
use crate::harness::run::step::{batch, compare};

/// Tolerance between two F32 runs that do the same mathematics in another order.
const TOLERANCE: f64 = 2e-5;

/// Tries one relation.
pub fn relate(case_run: &mut CaseRun<'_>, step: &Relate) -> Result<(), CaseEnd> {
    let (handle, file) = {
        let model = case_run.model(&step.model)?;
        (model.handle, model.file.clone())
    };
    let seed = case_run.seed(&format!("relate {}", case_run.steps.len()));
    case_run.begin(format!("relate two runs: {}", plain(step.by)));
    let (recipe, model) = {
        let known = case_run.placed_model(&file)?;
        (known.recipe.clone(), Model::clone(&known.model))
    };
    let batch = batch::random(&recipe, 3, None, seed);
    let gives = recipe.output.gives();
    let base = run(case_run, (handle, gives), &batch)?;
    match step.by {
        Relation::Padding => {
            let more = run(case_run, (handle, gives), &padded(&batch, &recipe, 7))?;
            let (more, base) = (first_tokens(&more, &base), base);
            compare::output(case_run, "output with more padding", &more, &base, TOLERANCE)
        }
        Relation::Batching => alone(case_run, (handle, gives), &batch, &base),
        Relation::OtherMask => judged(case_run, step, &file, &other_mask(&batch)),
        Relation::OtherLastRow => judged(case_run, step, &file, &other_last_row(&batch)),
        Relation::OtherTypes => judged(case_run, step, &file, &other_types(&batch, &recipe)),
        Relation::ChangedWeight => changed(case_run, &batch, &base, (&recipe, model), seed),
        Relation::DoubledNorm | Relation::PermutedVocabulary | Relation::ExchangedHeads => {
            let (mut model, mut other, mut wanted) = (model, batch.clone(), base);
            match step.by {
                Relation::DoubledNorm => {
                    surgery::scale_last_norm(&mut model, &recipe, 2.0);
                    wanted.values.iter_mut().for_each(|value| *value *= 2.0);
                }
                Relation::PermutedVocabulary => {
                    let to = permutation(&recipe, seed);
                    surgery::permute_vocabulary(&mut model, &to);
                    if let Batch::Tokens { ids, .. } = &mut other {
                        ids.iter_mut().for_each(|id| *id = to[*id as usize] as i64);
                    }
                }
                _ => exchange(&mut model, &recipe),
            }
            let given = with_model(case_run, model, &recipe, &other)?;
            compare::output(case_run, "output of the changed model", &given, &wanted, TOLERANCE)
        }
    }
}

/// A permutation of the vocabulary that leaves the padding where it is.
fn permutation(recipe: &Recipe, seed: u64) -> Vec<usize> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut others: Vec<usize> =
        (0..recipe.sizes.vocabulary).filter(|id| *id != recipe.sizes.padding).collect();
    others.shuffle(&mut random);
    let mut next = others.into_iter();
    (0..recipe.sizes.vocabulary)
        .map(|id| match id == recipe.sizes.padding {
            true => id,
            false => next.next().unwrap_or(id),
        })
        .collect()
}

/// Exchanges the first and the last head of a group in every layer.
fn exchange(model: &mut Model, recipe: &Recipe) {
    let group = recipe.sizes.heads / recipe.sizes.key_heads().max(1);
    let last = if group > 1 { group - 1 } else { recipe.sizes.heads - 1 };
    for layer in 0..recipe.sizes.layers {
        surgery::exchange_heads(model, recipe, layer, (0, last));
    }
}

/// Each sentence by itself must give its row of the batch.
fn alone(
    case_run: &mut CaseRun<'_>,
    model: (u64, OutputKind),
    batch: &Batch,
    base: &State,
) -> Result<(), CaseEnd> {
    let rows = base.shape.first().copied().unwrap_or(1).max(1);
    let share = base.values.len() / rows;
    for row in 0..rows {
        let given = run(case_run, model, &single(batch, row))?;
        let wanted = State {
            name: base.name.clone(),
            shape: [&[1], &base.shape[1..]].concat(),
            values: base.values[row * share..][..share].to_vec(),
        };
        let what = format!("sentence {row} alone");
        compare::output(case_run, &what, &given, &wanted, TOLERANCE)?;
    }
    Ok(())
}

/// Changes one weight. The difference of the two outputs must be that of the oracle.
fn changed(
    case_run: &mut CaseRun<'_>,
    batch: &Batch,
    base: &State,
    (recipe, mut model): (&Recipe, Model),
    seed: u64,
) -> Result<(), CaseEnd> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (before, name, after) = case_run.gathering(|_| {
        let oracle = |model: &Model| {
            let mut oracle = Oracle::new(model, Precision::F64).map_err(oracle_fault)?;
            Ok::<_, CaseEnd>(oracle.forward(batch, false).map_err(oracle_fault)?.output)
        };
        let before = oracle(&model)?;
        // Any weight except embeddings, as long as the change affects the oracle's output.
        for _ in 0..50 {
            let candidates: Vec<&str> = model
                .tensors
                .iter()
                .filter(|tensor| !tensor.name.contains("embed"))
                .map(|tensor| tensor.name.as_str())
                .collect();
            let name = candidates[random.random_range(0..candidates.len())].to_owned();
            let count = model.tensor(&name).map_or(1, |tensor| tensor.shape.iter().product());
            let mut other = model.clone();
            surgery::change_weight(&mut other, &name, random.random_range(0..count), 1.5);
            let after = oracle(&other)?;
            let moved = after.values.iter().zip(&before.values).map(|(a, b)| (a - b).abs());
            if moved.fold(0f32, f32::max) > 1e-3 {
                model = other;
                return Ok((before, name, after));
            }
        }
        Err(CaseEnd::Fault("no weight was found that shows in the output".to_owned()))
    })?;
    let given = with_model(case_run, model, recipe, batch)?;
    let difference = |a: &State, b: &State| State {
        name: a.name.clone(),
        shape: a.shape.clone(),
        values: a.values.iter().zip(&b.values).map(|(a, b)| a - b).collect(),
    };
    let (found, wanted) = (difference(&given, base), difference(&after, &before));
    compare::output(case_run, &format!("change by {name}"), &found, &wanted, TOLERANCE)
}

/// Runs a batch and compares with the oracle.
fn judged(
    case_run: &mut CaseRun<'_>,
    step: &Relate,
    file: &str,
    batch: &Batch,
) -> Result<(), CaseEnd> {
    let handle = case_run.model(&step.model)?.handle;
    let (wanted, gives) = case_run.gathering(|case_run| {
        let model = case_run.placed_model(file)?;
        let mut wanted = model.oracle(batch, false).map_err(oracle_fault)?;
        compare::blank_padding(&mut wanted, batch);
        Ok::<_, CaseEnd>((wanted.output, model.gives()))
    })?;
    let given = run(case_run, (handle, gives), batch)?;
    compare::output(case_run, "output for the other batch", &given, &wanted, TOLERANCE)
}

/// The batch without the last token of every row that has several. Its id stays.
fn other_mask(batch: &Batch) -> Batch {
    let mut other = batch.clone();
    if let Batch::Tokens { columns, mask, .. } = &mut other {
        for row in mask.chunks_mut(*columns) {
            let seen = row.iter().filter(|value| **value == 1).count();
            if let Some(last) = row.iter_mut().rfind(|value| **value == 1).filter(|_| seen > 1) {
                *last = 0;
            }
        }
    }
    other
}

/// The batch with the tokens of its last row in reverse order. Sums and all other rows stay.
fn other_last_row(batch: &Batch) -> Batch {
    let mut other = batch.clone();
    if let Batch::Tokens { columns, ids, mask, .. } = &mut other {
        let last = ids.len() - *columns;
        let seen = mask[last..].iter().filter(|value| **value == 1).count();
        ids[last..last + seen].reverse();
    }
    other
}

/// The batch with every token of another type.
fn other_types(batch: &Batch, recipe: &Recipe) -> Batch {
    let mut other = batch.clone();
    if let Batch::Tokens { types, .. } = &mut other {
        let count = recipe.sizes.types.max(1) as i64;
        types.iter_mut().for_each(|one| *one = (*one + 1) % count);
    }
    other
}

/// Loads a changed model in addition to the first, runs it, and unloads it.
fn with_model(
    case_run: &mut CaseRun<'_>,
    model: Model,
    recipe: &Recipe,
    batch: &Batch,
) -> Result<State, CaseEnd> {
    let placed =
        PlacedModel::write(model, recipe.clone(), case_run.folder()).map_err(oracle_fault)?;
    let request = request::Load {
        path: placed.weights.clone(),
        format: request::Format::Safetensors,
        device: case_run.device(),
        keep: DtypePolicy::Stored,
        expect_sha256: None,
        seal: None,
        admit: false,
        parallel: None,
        inference: Some(placed.inference()),
    };
    let handle = match case_run.ask(Request::Load(request), 0)? {
        Ok(Reply::Load(loaded)) => loaded.handle,
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to load", other.verb()))),
        Err(failure) => return Err(case_run.unexpected("the changed model loaded", &failure)),
    };
    let given = run(case_run, (handle, recipe.output.gives()), batch)?;
    let _gone = std::fs::remove_dir_all(&placed.folder);
    match case_run.ask(Request::Unload(request::Unload { handle }), 0)? {
        Ok(_) => Ok(given),
        Err(failure) => Err(case_run.unexpected("the changed model unloaded", &failure)),
    }
}

fn run(
    case_run: &mut CaseRun<'_>,
    model: (u64, OutputKind),
    batch: &Batch,
) -> Result<State, CaseEnd> {
    let path = case_run.input_file();
    batch::write(batch, &path)?;
    match batch::ask(case_run, model, Input::File(path), false)? {
        Ok(given) => Ok(given.output),
        Err(failure) => Err(case_run.unexpected("an output", &failure)),
    }
}

/// The batch with `more` additional columns of padding, up to the model's longest input. Vectors
/// stay as they are.
fn padded(batch: &Batch, recipe: &Recipe, more: usize) -> Batch {
    let Batch::Tokens { rows, columns, ids, mask, types } = batch else { return batch.clone() };
    let longest = recipe.sizes.longest(recipe.architecture);
    let more = more.min(longest.saturating_sub(*columns));
    // BERT accepts any token as padding, and masked tokens must not affect the output.
    let filler = match recipe.architecture {
        Architecture::Roberta => recipe.sizes.padding as i64,
        _ => 9,
    };
    let widen = |values: &[i64], filler: i64| -> Vec<i64> {
        let widen = |row: &[i64]| [row, &vec![filler; more]].concat();
        values.chunks(*columns).flat_map(widen).collect()
    };
    Batch::Tokens {
        rows: *rows,
        columns: columns + more,
        ids: widen(ids, filler),
        mask: widen(mask, 0),
        types: widen(types, 0),
    }
}

/// For token states and logits, only the tokens that both have. Any other output stays as it is.
fn first_tokens(more: &State, base: &State) -> State {
    let (&[rows, tokens, width], &[_, kept, _]) = (more.shape.as_slice(), base.shape.as_slice())
    else {
        return more.clone();
    };
    let values = (0..rows).flat_map(|row| &more.values[row * tokens * width..][..kept * width]);
    State { name: more.name.clone(), shape: base.shape.clone(), values: values.copied().collect() }
}

/// One row of a batch.
fn single(batch: &Batch, row: usize) -> Batch {
    match batch {
        Batch::Vectors { columns, values, .. } => Batch::Vectors {
            rows: 1,
            columns: *columns,
            values: values[row * columns..][..*columns].to_vec(),
        },
        Batch::Tokens { columns, ids, mask, types, .. } => {
            let of = |values: &[i64]| match values.is_empty() {
                true => Vec::new(),
                false => values[row * columns..][..*columns].to_vec(),
            };
            Batch::Tokens {
                rows: 1,
                columns: *columns,
                ids: of(ids),
                mask: of(mask),
                types: of(types),
            }
        }
    }
}
