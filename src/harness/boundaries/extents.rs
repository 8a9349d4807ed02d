//! The largest counts that the cases have, each with the case that has it. Beyond them a loader may
//! behave otherwise, and no case would notice.

use std::collections::BTreeMap;

use crate::harness::case::Case;
use crate::harness::case::generate::PromptSource;
use crate::harness::case::model::ModelSource;
use crate::harness::case::step::Step;

/// The largest count of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// What is counted.
    pub what: &'static str,
    /// The largest.
    pub most: u64,
    /// The case that has it.
    pub case: String,
}

/// The largest counts of some cases.
pub fn extents(cases: &[Case]) -> Vec<Extent> {
    let mut all: BTreeMap<&'static str, (u64, String)> = BTreeMap::new();
    for case in cases {
        let mut counts = Counts::default();
        counts.steps(&case.steps, 1);
        case.models.values().for_each(|model| counts.model(model));
        for recipe in case.files.values() {
            let tensors = recipe.tensors.iter();
            counts.add("tensors of a file", tensors.map(|one| one.count.unwrap_or(1)).sum());
            for tensor in &recipe.tensors {
                let elements = tensor.shape.iter().copied().fold(1u64, u64::saturating_mul);
                counts.add("elements of a tensor", elements);
                counts.add("dimensions of a tensor", tensor.shape.len() as u64);
            }
            if let Some(shards) = &recipe.shards {
                counts.add("shards of a file", shards.count as u64);
            }
        }
        counts.add("models of a case", case.models.len() as u64);
        for (what, count) in counts.0 {
            let held = all.entry(what).or_default();
            if count > held.0 {
                *held = (count, case.id());
            }
        }
    }
    all.into_iter().map(|(what, (most, case))| Extent { what, most, case }).collect()
}

#[derive(Default)]
struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    fn add(&mut self, what: &'static str, count: u64) {
        let held = self.0.entry(what).or_default();
        *held = (*held).max(count);
    }

    fn model(&mut self, model: &ModelSource) {
        // A random model has at most three layers, and of a registry the sizes are not the case's.
        let told = [
            ("layers of a model", model.layers),
            ("tokens of a vocabulary", model.vocabulary),
            ("tokens of a context", model.context),
            ("files of a model", model.shards),
            ("token types of a model", model.types),
        ];
        told.into_iter().filter_map(|(what, count)| Some((what, count?))).for_each(
            |(what, count)| {
                self.add(what, count as u64);
            },
        );
        let truth = model.spelled.iter().flat_map(|spelled| &spelled.truth);
        for (name, value) in truth {
            let what = match name.as_str() {
                "num_attention_heads" => "query heads of a model",
                "num_key_value_heads" => "key heads of a model",
                "head_dim" => "size of a head",
                "hidden_size" => "size of a state",
                _ => continue,
            };
            self.add(what, value.as_u64().unwrap_or(0));
        }
    }

    fn steps(&mut self, steps: &[Step], times: u64) {
        for step in steps {
            match step {
                Step::Repeat(repeat) => {
                    let times = times * u64::from(repeat.times);
                    self.add("times that a step is repeated", times);
                    self.steps(&repeat.steps, times);
                }
                Step::Forward(step) => {
                    self.add("rows of a batch", step.rows as u64);
                    self.add("tokens of a row", step.tokens.unwrap_or(40) as u64);
                }
                Step::Generate(step) => {
                    self.prompt(&step.prompt);
                    self.add("tokens of an answer", u64::from(step.limit));
                }
                Step::Sample(step) => {
                    self.prompt(&step.prompt);
                    self.add("answers to one prompt", u64::from(step.answers));
                }
                _ => {}
            }
        }
    }

    fn prompt(&mut self, prompt: &PromptSource) {
        match prompt {
            PromptSource::Random(count) => self.add("tokens of a prompt", *count as u64),
            PromptSource::Talk(turns) => self.add("turns of a conversation", *turns as u64),
            PromptSource::Chat(turns) => self.add("turns of a conversation", turns.len() as u64),
            _ => {}
        }
    }
}
