//! Writes other weights into a loaded model by CUDA IPC. A loader that computes from other memory
//! than it exports gives the same output as before.
//!
//! Two tensors are changed, one after the other: the embedding rows that the input looks up, and
//! the weights of the last norm. No engine has a reason to rearrange these two.

use std::collections::BTreeSet;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::greedy::greedy;
use super::ipc::Imported;
use super::oracle_logits::OracleLogits;
use super::{batch, compare, prompt};
use crate::contract::generation::LOGITS;
use crate::contract::inference::{Batch, Input, State, TracedForward};
use crate::contract::request::DtypePolicy;
use crate::harness::case::cheat::Tamper;
use crate::harness::case::generate::PromptSource;
use crate::harness::model::{Model, Recipe, Tensor, surgery};
use crate::harness::oracle::forward::{Oracle, Precision};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun, oracle_fault};

/// A change counts only if it moves a value by more than this, relative to the largest.
const SHOWS: f32 = 1e-3;

/// The input that a model is run on after each change.
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

    /// What the loader answers. For a prompt, the tokens and the logits of each step.
    fn ask(&self, case_run: &mut CaseRun<'_>, name: &str) -> Result<(Vec<u32>, State), CaseEnd> {
        match self {
            Question::Batch(batch) => {
                let (handle, file) = {
                    let model = case_run.model(name)?;
                    (model.handle, model.file.clone())
                };
                let (gives, path) = (case_run.placed_model(&file)?.gives(), case_run.input_file());
                batch::write(batch, &path)?;
                match batch::ask(case_run, (handle, gives), Input::File(path), false)? {
                    Ok(given) => Ok((Vec::new(), given.output)),
                    Err(failure) => Err(case_run.unexpected("an output", &failure)),
                }
            }
            Question::Prompt(made, limit) => {
                let (generated, logits) = greedy(case_run, name, made, *limit)?;
                Ok((generated.tokens, logits))
            }
        }
    }

    /// What the oracle answers, given the tokens that the loader chose.
    fn truth(&self, model: &Model, tokens: &[u32]) -> Result<State, CaseEnd> {
        match self {
            Question::Batch(batch) => {
                let mut oracle = Oracle::new(model, Precision::F64).map_err(oracle_fault)?;
                Ok(oracle.forward(batch, false).map_err(oracle_fault)?.output)
            }
            Question::Prompt(made, _) => {
                Ok(OracleLogits::of(model, &made.tokens, tokens)?.state(LOGITS))
            }
        }
    }
}

/// Changes weights, asks, and puts them back, tensor by tensor.
pub fn tamper(case_run: &mut CaseRun<'_>, step: &Tamper) -> Result<(), CaseEnd> {
    let seed = case_run.seed(&format!("tamper {}", case_run.steps.len()));
    case_run.begin(format!("write other weights into {} by CUDA IPC, and run it", step.model));
    let loaded = case_run.model(&step.model)?;
    if loaded.keep != DtypePolicy::Stored {
        return Err(CaseEnd::Fault("weights are changed as they are stored".to_owned()));
    }
    let placed = case_run.placed_model(&loaded.file)?;
    let (recipe, model) = (placed.recipe.clone(), Model::clone(&placed.model));
    let question = match step.prompt {
        None => Question::Batch(batch::random(&recipe, step.rows, None, seed)),
        Some(tokens) => {
            let made = prompt::make(&PromptSource::Random(tokens), placed, seed);
            Question::Prompt(made?, step.limit)
        }
    };
    let imported = Imported::open(case_run, &step.model)?;
    let (tokens, first) = question.ask(case_run, &step.model)?;
    let truth = case_run.gathering(|_| question.truth(&model, &tokens))?;
    compare::output(case_run, "output before", &first, &truth, step.tolerance)?;
    for change in changes(&recipe, &model, &question, seed)? {
        let name = change.name.clone();
        put(case_run, &imported, &change)?;
        let (tokens, given) = question.ask(case_run, &step.model)?;
        let (truth, unchanged) = case_run.gathering(|_| {
            let mut other = model.clone();
            other.tensor_mut(&name).into_iter().for_each(|tensor| *tensor = change.clone());
            Ok((question.truth(&other, &tokens)?, question.truth(&model, &tokens)?))
        })?;
        shows(&truth, &unchanged, &name)?;
        let what = format!("output with another {name}");
        compare::output(case_run, &what, &given, &truth, step.tolerance)?;
        let own = model.tensor(&name).ok_or_else(|| oracle_fault(&name))?;
        put(case_run, &imported, own)?;
        let (_, again) = question.ask(case_run, &step.model)?;
        compare::same_bits(case_run, &format!("output with {name} put back"), &first, &again)?;
    }
    Ok(())
}

/// Writes a tensor into the loader's memory, and checks that it is there.
fn put(case_run: &mut CaseRun<'_>, imported: &Imported, tensor: &Tensor) -> Result<(), CaseEnd> {
    let placement = imported.placements.iter().find(|placement| placement.name == tensor.name);
    let Some(placement) = placement else {
        let found = format!("no {}", tensor.name);
        return case_run.check(Check::broken("export", &tensor.name, found, Basis::Observed));
    };
    imported.write(case_run, placement, &tensor.bytes)?;
    match imported.read(case_run, placement)? == tensor.bytes {
        true => Ok(()),
        false => Err(CaseEnd::Fault(format!("{} is not there after it was written", tensor.name))),
    }
}

/// The changed tensors.
fn changes(
    recipe: &Recipe,
    model: &Model,
    question: &Question,
    seed: u64,
) -> Result<Vec<Tensor>, CaseEnd> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut changes = Vec::new();
    let missing = |what: &str| CaseEnd::Fault(format!("the model has no {what}"));
    if let ids @ [_, ..] = question.ids().into_iter().collect::<Vec<_>>().as_slice() {
        let mut words = surgery::words(model).ok_or_else(|| missing("word embeddings"))?.clone();
        let width = words.shape.last().copied().unwrap_or(1).max(1);
        let mut values = words.values();
        for id in ids {
            // The same values in reverse order, so that the magnitudes stay the same.
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

/// Refuses a change that does not affect the output, because it would test nothing.
fn shows(changed: &State, unchanged: &State, name: &str) -> Result<(), CaseEnd> {
    let most = unchanged.values.iter().fold(0f32, |most, value| most.max(value.abs()));
    let moved = changed.values.iter().zip(&unchanged.values).map(|(a, b)| (a - b).abs());
    match moved.fold(0f32, f32::max) > SHOWS * most {
        true => Ok(()),
        false => Err(CaseEnd::Fault(format!("another {name} does not show in the output"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Capability;
    use crate::contract::generation::Prompt;
    use crate::contract::inference::Pooling;
    use crate::contract::reply::{Block, Exported, Reply};
    use crate::contract::request::Request;
    use crate::harness::model::HeadKind;
    use crate::harness::model::{Architecture, random};
    use crate::harness::run::trial::{self, Answer};

    /// For each architecture, two tensors are changed, and each change affects the oracle's output.
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
                    Question::Prompt(prompt::Made { prompt, tokens, dated: None }, 2)
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

    /// A loader that does not show its memory, or shows none that can be opened, passes nothing.
    #[test]
    fn memory_that_is_not_shown_is_not_tampered_with() {
        let tried = |keep: &str, change: fn(&Request) -> Option<Answer>| {
            let case = trial::case(
                "{}",
                "{main: {random: llama, output: logits, dtype: F32, layers: 1}}",
                &format!(
                    "[{{load: {{keep: {keep}, expect: {{loaded: []}}}}}}, {{tamper: {{prompt: 4}}}}]"
                ),
            );
            trial::tried(&case, &Capability::ALL, |_| {}, change)
        };
        let refuses = tried("stored", |_| None);
        assert_eq!(refuses.broken(), Some(("answer", "declared in the hello, and not served")));
        let shows = tried("stored", |request| match request {
            Request::Export(_) => {
                let block = Block { ipc: "00".repeat(64), pointer: 4096, bytes: 64 };
                let tensors = Vec::new();
                Some(Ok(Reply::Export(Exported { blocks: vec![block], tensors })))
            }
            _ => None,
        });
        assert_eq!(shows.why(), "this run loads into host memory");
        let widened = tried("f32", |_| None);
        assert_eq!(widened.why(), "weights are changed as they are stored");
    }

    /// Rows of padding may stay as they are in a loader's memory without a lie.
    #[test]
    fn only_rows_that_are_looked_up_are_changed() {
        let recipe =
            random::recipe(Architecture::Bert, Some(HeadKind::Embedding(Pooling::Mean)), 3);
        let model = Model::build(&recipe);
        let batch = Batch::Tokens {
            rows: 1,
            columns: 3,
            ids: vec![5, 9, 7],
            mask: vec![1, 0, 1],
            types: Vec::new(),
        };
        let question = Question::Batch(batch);
        assert_eq!(question.ids(), BTreeSet::from([5, 7]));
        let changes = changes(&recipe, &model, &question, 1).unwrap();
        let [words, norm] = changes.as_slice() else { panic!("{} changes", changes.len()) };
        let own = surgery::words(&model).unwrap();
        let width = own.shape[1];
        let (before, after) = (own.values(), words.values());
        for (id, (old, new)) in before.chunks(width).zip(after.chunks(width)).enumerate() {
            let mut wanted = old.to_vec();
            if [5, 7].contains(&id) {
                wanted.reverse();
            }
            assert_eq!(new, wanted, "row {id}");
        }
        let own = model.tensor(&norm.name).unwrap().values();
        let moved = own.iter().zip(norm.values()).filter(|(old, new)| (**old - new).abs() > 1e-3);
        assert!(2 * moved.count() > own.len(), "most of {} are others", norm.name);
    }
}
