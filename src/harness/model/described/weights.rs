//! Which published tensor is which weight of the architecture: names with or without the body's
//! prefix, wrappers of training tools, the older names of norms, and the head that is or is not the
//! word embeddings.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::Described;
use crate::contract::DType;
use crate::harness::model::recipe::{Architecture, Decoder, Recipe};
use crate::harness::model::tensors::{self, Spec};
use crate::harness::model::{Model, Tensor};

/// Prefixes that training tools leave.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "base_model.model."];

/// The head's matrix.
pub const HEAD: &str = "lm_head.weight";

/// The name of each weight in the published files, and in the judge's own spelling. Tensors that the
/// architecture does not use are not in it.
#[derive(Clone, Debug, Default)]
pub struct Naming(BTreeMap<String, String>);

impl Naming {
    /// The judge's own name of a published tensor; `None` if the architecture does not use it.
    pub fn own(&self, published: &str) -> Option<&str> {
        self.0.get(published).map(String::as_str)
    }

    /// The model that the oracle runs: published tensors under the judge's own names. Tensors that
    /// are not used keep their names.
    pub fn model(&self, described: &Described, mut tensors: Vec<Tensor>, shards: usize) -> Model {
        for tensor in &mut tensors {
            if let Some(own) = self.own(&tensor.name) {
                own.clone_into(&mut tensor.name);
            }
        }
        Model { config: described.config(), head: described.recipe.head(), tensors, shards }
    }
}

impl Described {
    /// Describes a model by the content of `config.json` and its tensors.
    ///
    /// # Errors
    /// What the judge cannot describe, with the name of the field or tensor.
    pub fn read(config: &Value, tensors: &[Tensor]) -> Result<(Described, Naming), String> {
        let mut described = Described::of(config)?;
        let naming = name(&mut described, tensors)?;
        Ok((described, naming))
    }

    /// The weights that the architecture has with these settings, under the judge's own names.
    pub fn weights(&self) -> Vec<Spec> {
        let recipe = &self.recipe;
        let (attention, forward) = self.biases;
        let listed = Recipe {
            decoder: Decoder { biased: attention || forward, ..recipe.decoder.clone() },
            ..recipe.clone()
        };
        let optional = matches!(recipe.architecture, Architecture::Llama | Architecture::Qwen3);
        let mut specs = tensors::of(&listed);
        specs.retain(|spec| {
            let has = if spec.name.contains(".self_attn.") { attention } else { forward };
            !optional || !spec.name.ends_with(".bias") || has
        });
        specs
    }
}

/// Names the weights, and checks their shapes and dtypes. Completes the description by what the
/// tensors say.
fn name(described: &mut Described, all: &[Tensor]) -> Result<Naming, String> {
    let architecture = described.recipe.architecture;
    let mut bodies: BTreeMap<String, &Tensor> = BTreeMap::new();
    for tensor in all {
        let body = body(&tensor.name, architecture);
        if let Some(other) = bodies.insert(body, tensor) {
            return Err(format!("{} and {} are one weight by name", other.name, tensor.name));
        }
    }
    let mut naming = Naming::default();
    let head_alone = head(&described.recipe, &bodies)?;
    for spec in described.weights() {
        let own = body(&spec.name, architecture);
        let found = match bodies.get(&own) {
            None if head_alone && is_words(&own) => bodies.get(HEAD),
            found => found,
        };
        let tensor = found.ok_or_else(|| format!("the weights have no {}", spec.name))?;
        if tensor.shape != spec.shape {
            let (name, found, wanted) = (&tensor.name, &tensor.shape, &spec.shape);
            return Err(format!("{name} has the shape {found:?}, by config.json {wanted:?}"));
        }
        if !matches!(tensor.dtype, DType::F32 | DType::F16 | DType::BF16) {
            let (name, dtype) = (&tensor.name, tensor.dtype);
            return Err(format!("{name} is of {dtype}, which the judge does not compute with"));
        }
        if is_words(&own) {
            described.recipe.dtype = tensor.dtype;
        }
        naming.0.insert(tensor.name.clone(), spec.name);
    }
    for (body, tensor) in &bodies {
        let weight = body.strip_suffix(".bias").and_then(|at| bodies.get(&format!("{at}.weight")));
        if naming.own(&tensor.name).is_none()
            && weight.is_some_and(|weight| naming.own(&weight.name).is_some())
        {
            return Err(format!("{}: by config.json there is no such bias", tensor.name));
        }
    }
    Ok(naming)
}

/// Whether the head's matrix stands alone and the word embeddings are it.
fn head(recipe: &Recipe, bodies: &BTreeMap<String, &Tensor>) -> Result<bool, String> {
    if !recipe.architecture.is_decoder() || recipe.decoder.untied {
        return Ok(false);
    }
    let words = bodies.iter().find(|(body, _)| is_words(body)).map(|(_, tensor)| *tensor);
    match (words, bodies.get(HEAD)) {
        (Some(words), Some(head)) if words.bytes != head.bytes || words.dtype != head.dtype => {
            Err(format!("{HEAD} differs from the word embeddings, but config.json ties them"))
        }
        (None, Some(_)) => Ok(true),
        _ => Ok(false),
    }
}

/// Whether a weight is the word embeddings, by its [`body`].
pub fn is_words(body: &str) -> bool {
    body == "embed_tokens.weight" || body == "wte.weight"
}

/// A name without wrappers and the body's prefix, with today's names of norms.
pub fn body(name: &str, architecture: Architecture) -> String {
    use Architecture::{Bert, Gpt2, NomicBert, Roberta};
    let mut rest = name;
    while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| rest.strip_prefix(wrapper)) {
        rest = inner;
    }
    let prefix = match architecture {
        Bert | NomicBert => "bert.",
        Roberta => "roberta.",
        Gpt2 => "transformer.",
        _ => "model.",
    };
    let rest = rest.strip_prefix(prefix).unwrap_or(rest);
    match (rest.strip_suffix(".gamma"), rest.strip_suffix(".beta")) {
        (Some(norm), _) => format!("{norm}.weight"),
        (_, Some(norm)) => format!("{norm}.bias"),
        _ => rest.to_owned(),
    }
}
