//! The weights of a model as its files declare them, held against its configuration.

use std::collections::BTreeMap;

use serde_json::Value;

use super::by_config::{self, ByConfig};
use super::files::Headers;
use super::header::Declared;
use super::refusal::Refusal;
use super::role::{self, Home, Part, Role, Unit};
use super::rule::Rule;
use crate::contract::{Code, DType};
use crate::harness::model::Architecture;
use crate::harness::model::described::{
    Described, HEAD, architecture, body, is_words, unknown_weights,
};
use crate::harness::model::recipe::Sizes;

/// Why an encoder is never divided.
const ENCODER: Role = Role::Replicated("an encoder is loaded whole; replicas share the work");

/// Why a head's own matrix is not used.
pub const TIED: &str = "the head is tied to the word embeddings";

/// Why a layer is not used.
pub const BEYOND: &str = "config.json has no such layer";

/// A weight that the architecture uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    /// What the header says of it.
    pub declared: Declared,
    /// What it is for.
    pub part: Part,
}

/// The weights of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The architecture.
    pub architecture: Architecture,
    /// The sizes by the configuration.
    pub sizes: Sizes,
    /// Whether the head is the word embeddings.
    pub tied: bool,
    /// Those that the architecture uses, in the order of the model.
    pub used: Vec<Weight>,
    /// The others, each with the reason.
    pub unused: Vec<(String, &'static str)>,
}

impl Weights {
    /// Finds every weight of the configuration's architecture.
    ///
    /// # Errors
    /// An architecture or weights that the judge does not know, a weight that is missing, or one of another shape
    /// or element type.
    pub fn of(headers: &Headers) -> Result<Weights, Refusal> {
        let (architecture, described) = configured(&headers.config)?;
        let tied = architecture.is_decoder() && !described.recipe.decoder.untied;
        let mut bodies: BTreeMap<String, &Declared> = BTreeMap::new();
        for declared in &headers.tensors {
            if let Some(other) = bodies.insert(body(&declared.name, architecture), declared) {
                let actual = format!("{} and {}", other.name, declared.name);
                let refusal = Refusal::model(Code::IncompleteModel, "two tensors are one weight");
                let remedy = "Remove one of them from the files.";
                return Err(refusal.told("each weight once", actual, remedy).tensor(&other.name));
            }
        }
        let sizes = described.recipe.sizes.clone();
        let by_config = headers.by_config.as_ref().map(|by_config| (by_config, 0));
        let mut found = Found { bodies, by_config, tied, used: Vec::new(), misshapen: Vec::new() };
        for spec in described.weights() {
            let shape = spec.shape.iter().map(|side| *side as u64).collect();
            found.take(&body(&spec.name, architecture), &spec.name, shape)?;
        }
        found.judged()?;
        let (mut used, mut unused) = (found.used, Vec::new());
        let layers = sizes.layers as u64;
        for (body, declared) in found.bodies {
            let part = role::of(&body, tied);
            let beyond = |part: &Part| matches!(part.home, Home::Layer(layer) if layer >= layers);
            if !architecture.is_decoder() && headers.by_config.is_some() {
                return Err(by_config::undescribed(declared, &headers.files));
            } else if !architecture.is_decoder() && computes(declared) {
                let part = Part { role: ENCODER, output: 0, home: Home::First };
                used.push(Weight { declared: declared.clone(), part });
            } else if tied && body == HEAD {
                unused.push((declared.name.clone(), TIED));
            } else if part.as_ref().is_some_and(beyond) {
                unused.push((declared.name.clone(), BEYOND));
            } else if body.ends_with(".bias") && part.is_some() {
                let refusal = Refusal::model(Code::InvalidConfig, "a bias that config.json denies");
                let (expected, remedy) = ("no such tensor", "Correct config.json, or the files.");
                let refusal = refusal.by(Rule::DeclaredShape).tensor(&declared.name);
                return Err(refusal.told(expected, &declared.name, remedy));
            } else {
                unused.push((declared.name.clone(), "the architecture does not use it"));
            }
        }
        Ok(Weights { architecture, sizes, tied, used, unused })
    }
}

/// The architecture and the weights by `config.json`.
fn configured(config: &Value) -> Result<(Architecture, Described), Refusal> {
    let no_plan = |code| Refusal::model(code, "config.json describes no model that can be planned");
    let architecture = architecture(config).map_err(|why| {
        let remedy = "Plan a Llama, Mistral, Qwen2, Qwen3, Phi-3 or GPT-2, or an encoder.";
        let expected = "an architecture that the judge knows";
        no_plan(Code::UnknownArchitecture).told(expected, why, remedy)
    })?;
    if let Some((field, value)) = unknown_weights(config) {
        let actual = format!("config.json: {field} = {value}");
        let plain = format!("the weights of a plain {}", architecture.model_type());
        return Err(match field {
            "quantization_config" | "compression_config" => quantised("no such field", actual),
            _ => Refusal::indivisible(None, "config.json describes weights that are not planned")
                .told(
                    plain,
                    actual,
                    "Plan a model without this field: the judge knows no such weights.",
                ),
        });
    }
    let described = Described::of_weights(config).map_err(|why| {
        let remedy = "Correct config.json, or get it again from where it was published.";
        no_plan(Code::InvalidConfig).told("values that a model can have", why, remedy)
    })?;
    Ok((architecture, described))
}

/// Quantised weights.
fn quantised(expected: &str, actual: impl ToString) -> Refusal {
    let remedy = "Plan the model in F32, F16 or BF16: scales would have to follow their groups.";
    let refusal = Refusal::model(Code::UnsupportedDtype, "quantised weights are not planned");
    refusal.told(expected, actual, remedy)
}

/// Whether a tensor has an element type that models compute with.
fn computes(declared: &Declared) -> bool {
    matches!(declared.dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// Weights that are found one by one.
struct Found<'h> {
    /// What nobody has asked for yet.
    bodies: BTreeMap<String, &'h Declared>,
    /// Where the configuration says the shapes: what it says, and the bytes of the weights so far.
    by_config: Option<(&'h ByConfig, u64)>,
    tied: bool,
    used: Vec<Weight>,
    /// Where in `used` a weight has another shape than this one.
    misshapen: Vec<(usize, Vec<u64>)>,
}

impl Found<'_> {
    fn take(&mut self, body: &str, own: &str, shape: Vec<u64>) -> Result<(), Refusal> {
        // Some files have a tied matrix under the head's name only.
        let alone = self.tied && is_words(body) && !self.bodies.contains_key(body);
        let declared = self.bodies.remove(if alone { HEAD } else { body }).ok_or_else(|| {
            let refusal =
                Refusal::model(Code::IncompleteModel, format!("the weights have no {own}"));
            let remedy = "Get all files of the model, and the config.json that belongs to them.";
            refusal.told(own, "no such tensor", remedy).tensor(own).by(Rule::NoSuchTensor)
        })?;
        let part = role::of(body, self.tied);
        let part = part.unwrap_or(Part { role: ENCODER, output: 0, home: Home::First });
        if !computes(declared) {
            let refusal = quantised("F32, F16 or BF16", declared.dtype);
            return Err(refusal.tensor(&declared.name));
        }
        let declared = match &mut self.by_config {
            Some((by_config, bytes)) => by_config.shaped(declared, shape, bytes)?,
            None => {
                if declared.shape != shape {
                    self.misshapen.push((self.used.len(), shape));
                }
                declared.clone()
            }
        };
        self.used.push(Weight { declared, part });
        Ok(())
    }

    /// Refuses shapes other than the configuration's. If all divided weights are the same part of it, the
    /// files are one rank's of some degree.
    fn judged(&self) -> Result<(), Refusal> {
        let Some((at, shape)) = self.misshapen.first() else { return Ok(()) };
        let name = &self.used[*at].declared.name;
        let (found, asked) = (&self.used[*at].declared.shape, shape);
        let (expected, actual) = (format!("{asked:?} by config.json"), format!("{found:?}"));
        let refused = |message: String, rule, numbers: Vec<u64>, remedy: &str| {
            let refusal = Refusal::model(Code::ShapeMismatch, message).by(rule).numbers(numbers);
            Err(refusal.told(&expected, &actual, remedy).tensor(name))
        };
        match self.degree() {
            Some(degree) => refused(
                format!(
                    "the files are those of one rank of {degree}: {name} is a part of the model's"
                ),
                Rule::OtherDegree,
                vec![degree],
                "Merge the files of all ranks into one checkpoint first.",
            ),
            None => refused(
                format!("{name} has another shape than config.json asks for"),
                Rule::DeclaredShape,
                Vec::new(),
                "Use the config.json that belongs to the weights.",
            ),
        }
    }

    /// The degree for which the files were written, if every weight that is surely divided is the same
    /// part of what the configuration asks for.
    fn degree(&self) -> Option<u64> {
        let mut degree = None;
        for (at, weight) in self.used.iter().enumerate() {
            let dimension = match weight.part.role {
                Role::Column(Unit::Heads | Unit::Inner) | Role::FusedGate => weight.part.output,
                Role::Row(_) => 1 - weight.part.output,
                _ => continue,
            };
            let place = self.misshapen.binary_search_by_key(&at, |(other, _)| *other).ok()?;
            let asked = &self.misshapen[place].1;
            let found = &weight.declared.shape;
            let others = |shape: &[u64]| {
                let sides = shape.iter().copied().enumerate();
                sides.filter(|(at, _)| *at != dimension).map(|(_, side)| side).collect::<Vec<_>>()
            };
            let (whole, part) =
                (asked.get(dimension)?, found.get(dimension).filter(|part| **part > 0)?);
            let same = others(asked) == others(found) && whole.is_multiple_of(*part);
            let this = Some(whole / part).filter(|degree| same && *degree > 1)?;
            if *degree.get_or_insert(this) != this {
                return None;
            }
        }
        degree
    }
}
