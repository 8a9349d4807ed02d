//! Refusals of the run's own checkpoint that are neither right nor wrong by any rule: of a thing that is
//! unusual, by its name, and of weights that break a data-quality gate by the judge's own gates too.

use std::path::Path;

use super::placed::PlacedModel;
use crate::contract::{Class, Code, Failure};
use crate::harness::fixture::Fixture;
use crate::harness::model::described::Unusual;

/// Codes of a refusal that says which part of a published folder is not served.
const NAMING: [Code; 8] = [
    Code::InvalidConfig,
    Code::UnknownArchitecture,
    Code::IncompleteModel,
    Code::ShapeMismatch,
    Code::InvalidTokenizer,
    Code::InvalidTemplate,
    Code::InvalidIndex,
    Code::UnsupportedDtype,
];

impl PlacedModel {
    /// As [`left_open`], for a model of a case: never where the judge made it.
    pub fn left_open(&self, failure: &Failure) -> Option<String> {
        self.given.as_ref()?;
        left_open(&self.unusual, &self.fixture, failure)
    }
}

/// Why it is not decided whether a checkpoint had to be served that a loader has refused. `None` if it
/// had to be.
pub fn left_open(unusual: &Unusual, fixture: &Fixture, failure: &Failure) -> Option<String> {
    if !matches!(failure.class, Class::Refused | Class::Unsupported) {
        return None;
    }
    let text = named(failure);
    if NAMING.contains(&failure.code) {
        let odd = unusual.named(&text)?;
        return Some(format!(
            "--model: the loader refuses this checkpoint by name: {odd}; whether it must be served \
             is not decided"
        ));
    }
    let gate = failure.code == Code::GateFailed || failure.code.family() == Some(Code::GateFailed);
    let tensor = failure.tensor.as_deref().filter(|_| gate)?;
    let verdicts = &fixture.gates()?.verdicts;
    let broken = verdicts.iter().any(|one| one.tensor == tensor && !one.refused_by.is_empty());
    broken.then(|| {
        format!(
            "--model: the loader refuses {tensor} by a data-quality gate, and the judge's own gates \
             refuse it too"
        )
    })
}

/// Everything in a failure that can name the thing at fault. The remedy may name what should be there.
fn named(failure: &Failure) -> String {
    let path = failure.path.as_deref().and_then(|path| Path::new(path).file_name());
    let path = path.map(|name| name.to_string_lossy().into_owned());
    let more = [&failure.expected, &failure.actual, &failure.tensor, &path];
    let more = more.into_iter().flatten().map(String::as_str);
    std::iter::once(failure.message.as_str()).chain(more).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::given::Given;
    use super::*;
    use crate::contract::Phase;
    use crate::harness::model::{Architecture, HeadKind, Model, file, random};

    /// A checkpoint, after a change.
    fn given(change: impl FnOnce(&mut Model)) -> Given {
        let folder = tempfile::tempdir().unwrap();
        let recipe = random::recipe(Architecture::Llama, Some(HeadKind::Logits), 5);
        let mut model = Model::build(&recipe);
        change(&mut model);
        file::write_model(&model, folder.path()).unwrap();
        let name = if model.shards > 1 { file::INDEX } else { file::SINGLE };
        Given::read(&folder.path().join(name)).unwrap()
    }

    fn asked(given: &Given, failure: &Failure) -> Option<String> {
        left_open(&given.unusual, &given.fixture, failure)
    }

    fn refusal(code: Code, message: &str) -> Failure {
        Failure::new(Class::Refused, Phase::Header, code, message)
    }

    #[test]
    fn a_refusal_that_names_what_is_unusual_is_left_open() {
        let odd = given(|model| model.config["beta_gamma"] = json!(2));
        let named = refusal(Code::InvalidConfig, "beta_gamma = 2 is not supported");
        assert!(asked(&odd, &named).unwrap().contains("by name: beta_gamma"));
        // A name in the remedy, another code, another fault, another key.
        let in_remedy = refusal(Code::InvalidConfig, "not supported").remedy("no beta_gamma");
        assert_eq!(asked(&odd, &in_remedy), None);
        let other = refusal(Code::OutOfHostMemory, "beta_gamma = 2");
        assert_eq!(asked(&odd, &other), None);
        let internal = Failure { class: Class::Internal, ..named.clone() };
        assert_eq!(asked(&odd, &internal), None);
        let key = refusal(Code::InvalidConfig, "hidden_size is not supported");
        assert_eq!(asked(&odd, &key), None);
        // An ordinary folder.
        assert_eq!(asked(&given(|_| ()), &named), None);
    }

    #[test]
    fn a_gate_counts_where_the_judges_own_gates_break_too() {
        let name = "model.layers.0.mlp.up_proj.weight";
        let zeroed = given(|model| {
            let tensor = model.tensors.iter_mut().find(|one| one.name == name).unwrap();
            tensor.bytes.fill(0);
        });
        let told = refusal(Code::Density, "too many zeros").tensor(name);
        assert!(asked(&zeroed, &told).unwrap().contains("own gates"));
        assert_eq!(asked(&given(|_| ()), &told), None);
        let other = refusal(Code::Density, "too many zeros").tensor("model.norm.weight");
        assert_eq!(asked(&zeroed, &other), None);
    }
}
