//! Other weights, written into a loaded model by CUDA IPC. A loader that computes from anything but the memory
//! that it exports gives what it gave before.
//!
//! Two tensors are changed, one after the other, that no engine has a reason to rearrange: rows of the word
//! embeddings that the input looks up, and the weights of the last norm.

use std::collections::BTreeSet;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::bytes::ipc::Imported;
use super::forward::{batch, compare, fault, known};
use super::generate::{Wanted, greedy, prompt};
use crate::contract::generation::LOGITS;
use crate::contract::inference::{Batch, Input, State, TracedForward};
use crate::contract::request::Keep;
use crate::harness::case::cheat::Tamper;
use crate::harness::case::generate::PromptSource;
use crate::harness::model::{Model, Recipe, Tensor, surgery};
use crate::harness::oracle::forward::{Oracle, Precision};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};

/// A change that moves no value by this much, relative to the largest, shows nothing.
const SHOWS: f32 = 1e-3;

/// What a model is asked, again and again.
enum Question {
    Batch(Batch),
    Prompt(prompt::Made, u32),
}

impl Question {
    /// The ids whose embeddings it looks up.
    fn ids(&self) -> BTreeSet<usize> {
        match self {
            Question::Batch(Batch::Tokens { ids, mask, .. }) => {
                let seen = ids.iter().zip(mask).filter(|(_, mask)| **mask == 1);
                seen.map(|(id, _)| *id as usize).collect()
            }
            Question::Batch(Batch::Vectors { .. }) => BTreeSet::new(),
            Question::Prompt(made, _) => made.tokens.iter().map(|id| *id as usize).collect(),
        }
    }

    /// What the loader answers; of a prompt the tokens, and the logits behind each.
    fn ask(&self, attempt: &mut Attempt<'_>, name: &str) -> Result<(Vec<u32>, State), Stop> {
        match self {
            Question::Batch(batch) => {
                let (handle, file) = {
                    let model = attempt.model(name)?;
                    (model.handle, model.file.clone())
                };
                let (gives, path) = (known(attempt, &file)?.gives(), attempt.scratch_file());
                batch::write(batch, &path)?;
                match batch::ask(attempt, (handle, gives), Input::File(path), false)? {
                    Ok(given) => Ok((Vec::new(), given.output)),
                    Err(failure) => Err(attempt.unexpected("an output", &failure)),
                }
            }
            Question::Prompt(made, limit) => {
                let (generated, logits) = greedy(attempt, name, made, *limit)?;
                Ok((generated.tokens, logits))
            }
        }
    }

    /// What the oracle answers, given the tokens that the loader chose.
    fn truth(&self, model: &Model, tokens: &[u32]) -> Result<State, Stop> {
        match self {
            Question::Batch(batch) => {
                let mut oracle = Oracle::new(model, Precision::F64).map_err(fault)?;
                Ok(oracle.forward(batch, false).map_err(fault)?.output)
            }
            Question::Prompt(made, _) => Ok(Wanted::of(model, &made.tokens, tokens)?.state(LOGITS)),
        }
    }
}

/// Changes weights, asks, and puts them back, tensor by tensor.
pub fn tamper(attempt: &mut Attempt<'_>, step: &Tamper) -> Result<(), Stop> {
    let seed = attempt.seed(&format!("tamper {}", attempt.steps.len()));
    attempt.begin(format!("write other weights into {} by CUDA IPC, and run it", step.model));
    let loaded = attempt.model(&step.model)?;
    if loaded.keep != Keep::Stored {
        return Err(Stop::Fault("weights are changed as they are stored".to_owned()));
    }
    let placed = known(attempt, &loaded.file)?;
    let (recipe, model) = (placed.recipe.clone(), placed.model.clone());
    let question = match step.prompt {
        None => Question::Batch(batch::random(&recipe, step.rows, None, seed)),
        Some(tokens) => {
            let made = prompt::make(&PromptSource::Random(tokens), placed, seed);
            Question::Prompt(made.map_err(Stop::Fault)?, step.limit)
        }
    };
    let imported = Imported::open(attempt, &step.model)?;
    let (tokens, first) = question.ask(attempt, &step.model)?;
    let truth = attempt.gathering(|_| question.truth(&model, &tokens))?;
    compare::output(attempt, "output before", &first, &truth, step.tolerance)?;
    for change in changes(&recipe, &model, &question, seed)? {
        let name = change.name.clone();
        put(attempt, &imported, &change)?;
        let (tokens, given) = question.ask(attempt, &step.model)?;
        let (truth, unchanged) = attempt.gathering(|_| {
            let mut other = model.clone();
            other.tensor_mut(&name).into_iter().for_each(|tensor| *tensor = change.clone());
            Ok((question.truth(&other, &tokens)?, question.truth(&model, &tokens)?))
        })?;
        shows(&truth, &unchanged, &name)?;
        let what = format!("output with another {name}");
        compare::output(attempt, &what, &given, &truth, step.tolerance)?;
        let own = model.tensor(&name).ok_or_else(|| fault(&name))?;
        put(attempt, &imported, own)?;
        let (_, again) = question.ask(attempt, &step.model)?;
        compare::same_bits(attempt, &format!("output with {name} put back"), &first, &again)?;
    }
    Ok(())
}

/// Writes a tensor into the loader's memory and sees it there.
fn put(attempt: &mut Attempt<'_>, imported: &Imported, tensor: &Tensor) -> Result<(), Stop> {
    let placement = imported.placements.iter().find(|placement| placement.name == tensor.name);
    let Some(placement) = placement else {
        let found = format!("no {}", tensor.name);
        return attempt.check(Check::of("export", &tensor.name, found, false, Basis::Observed));
    };
    imported.write(attempt, placement, &tensor.bytes)?;
    match imported.read(attempt, placement)? == tensor.bytes {
        true => Ok(()),
        false => Err(Stop::Fault(format!("{} is not there after it was written", tensor.name))),
    }
}

/// The tensors as they are to be.
fn changes(
    recipe: &Recipe,
    model: &Model,
    question: &Question,
    seed: u64,
) -> Result<Vec<Tensor>, Stop> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut changes = Vec::new();
    let missing = |what: &str| Stop::Fault(format!("the model has no {what}"));
    if let ids @ [_, ..] = question.ids().into_iter().collect::<Vec<_>>().as_slice() {
        let mut words = surgery::words(model).ok_or_else(|| missing("word embeddings"))?.clone();
        let width = words.shape.last().copied().unwrap_or(1).max(1);
        let mut values = words.values();
        for id in ids {
            // As large as before, and elsewhere.
            values[id * width..][..width].reverse();
        }
        words.set_values(&values);
        changes.push(words);
    }
    if let Some(name) = surgery::last_norm(recipe).first() {
        let mut norm = model.tensor(name).ok_or_else(|| missing(name))?.clone();
        let values = norm.values().into_iter().map(|value| value * random.random_range(0.4..1.6));
        let values: Vec<f32> = values.collect();
        norm.set_values(&values);
        changes.push(norm);
    }
    Ok(changes)
}

/// A change that does not show would try nothing.
fn shows(changed: &State, unchanged: &State, name: &str) -> Result<(), Stop> {
    let most = unchanged.values.iter().fold(0f32, |most, value| most.max(value.abs()));
    let moved = changed.values.iter().zip(&unchanged.values).map(|(a, b)| (a - b).abs());
    match moved.fold(0f32, f32::max) > SHOWS * most {
        true => Ok(()),
        false => Err(Stop::Fault(format!("another {name} does not show in the output"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::generation::Prompt;
    use crate::contract::inference::Pooling;
    use crate::harness::model::HeadKind;
    use crate::harness::model::{Architecture, random};

    /// Of each architecture two tensors are found, and what becomes of them is seen by the oracle.
    #[test]
    fn every_change_shows() {
        use Architecture::{Bert, Gpt2, Llama, Mistral, NomicBert, Phi3, Qwen2, Qwen3, Roberta};
        let encoders =
            [Bert, Roberta, NomicBert, Qwen2].map(|one| (one, HeadKind::Embedding(Pooling::Mean)));
        let decoders =
            [Llama, Qwen2, Qwen3, Mistral, Phi3, Gpt2].map(|one| (one, HeadKind::Logits));
        for (architecture, output) in encoders.into_iter().chain(decoders) {
            let recipe = random::recipe(architecture, Some(output), 11);
            let model = Model::build(&recipe);
            let question = match output {
                HeadKind::Logits => {
                    let tokens = vec![1, 3, 2, 1];
                    let prompt = Prompt::Tokens(tokens.clone());
                    Question::Prompt(prompt::Made { prompt, tokens }, 2)
                }
                _ => Question::Batch(batch::random(&recipe, 2, None, 5)),
            };
            let before = question.truth(&model, &[4, 2]).unwrap();
            let changes = changes(&recipe, &model, &question, 7).unwrap();
            assert_eq!(changes.len(), 2, "{architecture:?}");
            for change in changes {
                let name = change.name.clone();
                let own = model.tensor(&name).unwrap();
                assert_eq!(own.bytes.len(), change.bytes.len());
                let mut other = model.clone();
                *other.tensor_mut(&name).unwrap() = change;
                let after = question.truth(&other, &[4, 2]).unwrap();
                shows(&after, &before, &name)
                    .unwrap_or_else(|why| panic!("{architecture:?} {name}: {why:?}"));
            }
            assert!(shows(&before, &before, "nothing").is_err());
        }
    }
}
