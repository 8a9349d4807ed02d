//! The capabilities that a case needs from a loader, derived from its models and its steps.

use std::collections::BTreeSet;

use super::beside::LoadBeside;
use super::divide::Divide;
use super::expect::{LoadCheck, LoadOutcome};
use super::forward::Wrong;
use super::model::{ModelDamage, ModelSource};
use super::recipe::Recipe;
use super::step::{self, Route, Step};
use super::{Case, Want};
use crate::contract::request::DtypePolicy;
use crate::contract::{Capability, DType};
use crate::harness::model::Architecture;
use crate::harness::model::registry::{self, Scale};

impl Case {
    /// The capabilities that the steps rely on, apart from the device's.
    ///
    /// `checkpoint` is the architecture of the one that the run was given, where it was given one that the
    /// harness knows.
    pub fn capabilities(&self, checkpoint: Option<Architecture>) -> BTreeSet<Capability> {
        let mut all = BTreeSet::new();
        all.extend(
            self.models
                .values()
                .filter_map(|model| self.architecture(model, checkpoint).map(Capability::from)),
        );
        let runs = !self.only_divides();
        all.extend(self.needs.contains(&Want::Cards).then_some(Capability::Parallel));
        all.extend(self.runs_divided().then_some(Capability::ParallelRun));
        if runs && self.models.values().any(has_own_head) {
            all.insert(Capability::ModelHeadDim);
        }
        // Those with the weights of another give what that one gives.
        let is_twin = |model: &&ModelSource| model.same_as.is_some() && model.format.is_usual();
        for model in self.models.values().filter(|model| runs && !is_twin(model)) {
            all.insert(match model.gives_logits() {
                true => Capability::Logits,
                false => Capability::Embedding,
            });
            // Files of text are no matter of a loader that takes tokens alone.
            if model.damage.iter().any(ModelDamage::is_of_text) {
                all.insert(match model.chat {
                    true => Capability::Chat,
                    false => Capability::Text,
                });
            }
        }
        if self.models.values().any(|model| model.shards.is_some_and(|shards| shards > 1)) {
            all.insert(Capability::Sharded);
        }
        for step in self.flat_steps() {
            step.capabilities(checkpoint, &mut all);
            if let Step::Load(load) = step {
                if self.files.get(&load.file).is_some_and(|recipe| recipe.shards.is_some()) {
                    all.insert(Capability::Sharded);
                }
                let of_model = self.models.get(&load.file).map(|model| model.format);
                all.insert(load.format.or(of_model).unwrap_or_default().into());
            }
            if let Step::Divide(Divide { file, .. }) | Step::LoadBeside(LoadBeside { file, .. }) =
                step
            {
                let of_model = self.models.get(file).map(|model| model.format);
                all.insert(of_model.unwrap_or_default().into());
            }
            if let Step::LoadBeside(step) = step
                && let Some(recipe) = self.files.get(&step.file)
            {
                held(recipe, DtypePolicy::Stored, &mut all);
                all.extend(recipe.shards.is_some().then_some(Capability::Sharded));
            }
            if let Step::Load(load) = step
                && let LoadOutcome::Loaded(_) = &load.expect
                && let Some(recipe) = self.files.get(&load.file)
            {
                held(recipe, load.keep, &mut all);
            }
        }
        all
    }

    /// What a model of this case is built as; none where it is made of one that the case does not have.
    fn architecture(
        &self,
        model: &ModelSource,
        checkpoint: Option<Architecture>,
    ) -> Option<Architecture> {
        if let Some(other) = &model.same_as {
            return self.architecture(self.models.get(other)?, checkpoint);
        }
        let given = checkpoint.filter(|one| one.is_decoder() && model.gives_way());
        match &model.registry {
            _ if model.chat || model.full_size => Some(given.unwrap_or(Architecture::Qwen2)),
            Some(id) => registry::model(id).ok().map(|entry| entry.architecture),
            None => Some(model.random.unwrap_or(Architecture::Bert)),
        }
    }
}

/// The element types of a file's tensors in memory.
fn held(recipe: &Recipe, keep: DtypePolicy, all: &mut BTreeSet<Capability>) {
    for tensor in &recipe.tensors {
        match tensor.dtype {
            // A tensor that is widened is not kept as it is stored.
            DType::F16 | DType::BF16 if keep == DtypePolicy::F32 => {
                all.insert(Capability::DtypeF32)
            }
            DType::F16 => all.insert(Capability::DtypeF16),
            DType::BF16 => all.insert(Capability::DtypeBf16),
            DType::F32 => all.insert(Capability::DtypeF32),
            DType::I64 => all.insert(Capability::DtypeI64),
            _ => false,
        };
    }
}

/// Whether a model has heads of a size that its architecture leaves to `head_dim`. Qwen3's always are.
fn has_own_head(model: &ModelSource) -> bool {
    let scale = model.scale.unwrap_or(Scale::Small);
    let of_registry = |id: &String| {
        let entry = registry::model(id).ok().filter(|entry| entry.architecture.is_decoder());
        entry.and_then(|entry| entry.sizes.get(&scale)).is_some_and(|sizes| sizes.has_own_head())
    };
    model.own_head || model.registry.as_ref().is_some_and(of_registry)
}

impl Step {
    fn capabilities(&self, checkpoint: Option<Architecture>, all: &mut BTreeSet<Capability>) {
        match self {
            Step::Load(load) => load.capabilities(all),
            Step::Compare(compare) => match compare.route {
                // On host memory the tensors travel by file; on a device by IPC. The engine adds
                // the one that the run's device implies.
                Route::Auto => {}
                Route::Ipc => {
                    all.insert(Capability::Export);
                }
                Route::File => {
                    all.insert(Capability::Read);
                }
            },
            Step::Divide(_) => {
                all.insert(Capability::Parallel);
            }
            Step::Poke(_) => all.extend([Capability::Export, Capability::Read]),
            Step::Tamper(step) => {
                all.insert(Capability::Export);
                all.extend(step.prompt.map(|_| Capability::Generate));
            }
            Step::Flips(flips) => {
                all.insert(Capability::FormatSafetensors);
                all.insert(match flips.sealed {
                    true => Capability::Sealed,
                    false => Capability::Digest,
                });
            }
            Step::Device(device) if device.profile.is_some() => {
                all.insert(Capability::Preflight);
            }
            Step::Device(_) => {}
            Step::Synchronize(_) => {
                all.insert(Capability::Synchronize);
            }
            Step::Stream(_) => {
                all.insert(Capability::Stream);
            }
            Step::Multiply(_) => {
                all.insert(Capability::Multiply);
            }
            Step::Stat(_) => {
                all.insert(Capability::Stat);
            }
            Step::Grown(step) => {
                all.extend(step.plan_of.as_ref().map(|_| Capability::Plan));
            }
            Step::Unload(_)
            | Step::LoadBeside(_)
            | Step::CompareBeside(_)
            | Step::Mark(_)
            | Step::Left(_)
            | Step::MarkPeak(_)
            | Step::Peak(_)
            | Step::Repeat(_)
            | Step::Ballast(_)
            | Step::Release(_)
            | Step::Write(_)
            | Step::Remove(_)
            | Step::UseAfterUnload(_)
            | Step::MalformedRequest(_)
            | Step::Command(_)
            | Step::Name(_)
            | Step::Sources(_)
            | Step::Leave(_)
            | Step::SameProgram(_)
            | Step::WithinBudget(_) => {}
            // What the models give says whether embeddings or logits are asked for.
            Step::Forward(step) => {
                if step.texts {
                    all.insert(Capability::Text);
                }
                if step.trace {
                    all.insert(Capability::Trace);
                }
            }
            Step::RejectInput(step) if step.input == Wrong::NoText => {
                all.insert(Capability::Text);
            }
            Step::RejectInput(_) | Step::Relate(_) => {}
            Step::Validate(step) => {
                if step.timed {
                    all.insert(Capability::Times);
                }
                all.insert(Capability::Validate);
            }
            Step::Throughput(_) | Step::BitIdentical(_) | Step::StoredGolden(_) => {
                all.insert(Capability::Generate);
            }
            Step::Cli(_) => {}
            Step::Agree(step) => {
                all.insert(Capability::Generate);
                if step.prompt.is_conversation() {
                    all.insert(Capability::Chat);
                }
            }
            Step::Drift(_) => {}
            Step::Sample(step) => {
                all.insert(Capability::Generate);
                if step.prompt.is_conversation() {
                    all.insert(Capability::Chat);
                }
            }
            Step::Generate(step) => {
                all.insert(Capability::Generate);
                if step.prompt.is_conversation() {
                    all.insert(Capability::Chat);
                }
            }
            Step::Real(_) => {
                all.extend([
                    Capability::FormatSafetensors,
                    Capability::Embedding,
                    Capability::Text,
                    Capability::Digest,
                ]);
                // A decoder is no encoder, and others of the case stand in for it.
                let encoder = checkpoint.filter(|one| !one.is_decoder());
                all.extend(encoder.map(Capability::from));
            }
            Step::WholeSet(_) => {
                all.extend([
                    Capability::FormatSafetensors,
                    Capability::Embedding,
                    Capability::Digest,
                    Capability::Sharded,
                    Capability::DtypeF16,
                    Capability::DtypeBf16,
                    Capability::DtypeF32,
                ]);
                let whole = registry::models().unwrap_or_default();
                all.extend(whole.iter().map(|entry| Capability::from(entry.architecture)));
                all.insert(Capability::ModelHeadDim);
            }
        }
    }
}

impl step::Load {
    fn capabilities(&self, all: &mut BTreeSet<Capability>) {
        if self.keep == DtypePolicy::F32 {
            all.insert(Capability::Widen);
        }
        if !self.shares_ms.is_empty() {
            all.insert(Capability::Times);
        }
        if self.seal.is_some() {
            all.insert(Capability::Sealed);
        }
        if self.sha256 != step::Pin::None {
            all.insert(Capability::Digest);
        }
        match &self.expect {
            LoadOutcome::Loaded(checks) => all.extend(checks.iter().filter_map(of_check)),
            LoadOutcome::Either(either) => all.extend(either.loaded.iter().filter_map(of_check)),
            LoadOutcome::Refused(refusal) => {
                if refusal.concerns_gates() {
                    all.insert(Capability::Gates);
                }
            }
            LoadOutcome::OneOf(_) => {
                all.insert(Capability::Digest);
            }
        }
    }
}

/// The capability that a claim of a load's reply relies on.
fn of_check(check: &LoadCheck) -> Option<Capability> {
    Some(match check {
        LoadCheck::Sha256 => Capability::Digest,
        LoadCheck::Metadata => Capability::Metadata,
        LoadCheck::Gates => Capability::Gates,
        LoadCheck::Plan | LoadCheck::Whole => Capability::Plan,
        LoadCheck::Streamed => Capability::Streaming,
        LoadCheck::Unused => Capability::Unused,
        LoadCheck::Times => Capability::Times,
        LoadCheck::Device | LoadCheck::Table | LoadCheck::Held | LoadCheck::Transfer => {
            return None;
        }
    })
}

impl From<Architecture> for Capability {
    fn from(architecture: Architecture) -> Self {
        match architecture {
            Architecture::Bert => Capability::ModelBert,
            Architecture::Roberta => Capability::ModelRoberta,
            Architecture::NomicBert => Capability::ModelNomicBert,
            Architecture::Qwen2 => Capability::ModelQwen2,
            Architecture::Qwen3 => Capability::ModelQwen3,
            Architecture::Llama => Capability::ModelLlama,
            Architecture::Mistral => Capability::ModelMistral,
            Architecture::Phi3 => Capability::ModelPhi3,
            Architecture::Gpt2 => Capability::ModelGpt2,
            Architecture::Projection => Capability::ModelProjection,
        }
    }
}

#[cfg(test)]
mod tests;
