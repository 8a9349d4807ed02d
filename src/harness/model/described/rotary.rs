//! Base and scaling of rotary positions, from every place where publishers write them: at top level,
//! in `rope_scaling`, in `rope_parameters`, and there for each type of layer.

use serde_json::{Map, Value, json};

use super::fields::{Fields, number, same, size};
use crate::harness::model::file::CONFIG;
use crate::harness::model::recipe::Scaling;

/// Types of layers that a configuration may give rotary positions of their own.
const LAYER_TYPES: [&str; 2] = ["full_attention", "sliding_attention"];

/// Rotary positions of all layers, or of each type of layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rotary(Vec<(Option<String>, Angles)>);

/// Rotary positions of one type of layer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Angles {
    base: f64,
    scaled: Scaled,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scaled {
    Not,
    Linear(f64),
    Llama3(Scaling),
}

impl Rotary {
    pub(super) fn read(
        fields: &Fields<'_>,
        default: f64,
        positions: usize,
        layer_types: Option<&[String]>,
    ) -> Result<Rotary, String> {
        // NomicBERT is published with its own name.
        let top = fields.number(&["rope_theta", "rotary_emb_base"])?;
        let object = |name: &str| -> Result<Option<&Map<String, Value>>, String> {
            let Some(value) = fields.value(name) else { return Ok(None) };
            let object = value.as_object().filter(|all| !all.is_empty());
            match (object, value.as_object()) {
                (None, None) => Err(format!("{CONFIG}: {name} is {value}, not an object")),
                (object, _) => Ok(object),
            }
        };
        let (older, newer) = (object("rope_scaling")?, object("rope_parameters")?);
        if let (Some(older), Some(newer)) = (older, newer)
            && older != newer
        {
            return Err(format!("{CONFIG}: rope_scaling and rope_parameters differ"));
        }
        let empty = Map::new();
        let all = older.or(newer).unwrap_or(&empty);
        let original = fields.size(&["original_max_position_embeddings"])?;
        let angles =
            |one: &Map<String, Value>| Angles::read(one, (top, default), original, positions);
        let declared = |name: &str| {
            LAYER_TYPES.contains(&name)
                || layer_types.is_some_and(|types| types.iter().any(|one| one == name))
        };
        let mut nested = Vec::new();
        for (name, value) in all.iter().filter(|(name, _)| declared(name)) {
            let one = value.as_object();
            let one =
                one.ok_or_else(|| format!("{CONFIG}: rotary positions of {name}: {value}"))?;
            nested.push((Some(name.clone()), angles(one)?));
        }
        match nested.is_empty() {
            true => Ok(Rotary(vec![(None, angles(all)?)])),
            // The same for every type of layer is the same for all.
            false
                if nested.windows(2).all(|two| two[0].1 == two[1].1)
                    && (nested.len() > 1
                        || layer_types.is_none_or(|types| {
                            types.iter().all(|one| nested[0].0.as_ref() == Some(one))
                        })) =>
            {
                Ok(Rotary(vec![(None, nested[0].1)]))
            }
            false => match layer_types {
                None => {
                    Err(format!("{CONFIG}: rotary positions by type of layer, but no layer_types"))
                }
                Some(types) => match types
                    .iter()
                    .find(|one| nested.iter().all(|(name, _)| name.as_ref() != Some(one)))
                {
                    Some(lacking) => Err(format!("{CONFIG}: no rotary positions of {lacking}")),
                    None => Ok(Rotary(nested)),
                },
            },
        }
    }

    /// The base; the first one where there are several.
    pub(super) fn base(&self) -> f64 {
        self.0.first().map_or(0.0, |(_, angles)| angles.base)
    }

    /// Llama 3's scaling, if all layers have it.
    pub(super) fn scaling(&self) -> Option<Scaling> {
        match self.0.as_slice() {
            [(None, Angles { scaled: Scaled::Llama3(scaling), .. })] => Some(*scaling),
            _ => None,
        }
    }

    /// Whether nothing is scaled, and all layers are alike.
    pub(super) fn plain(&self) -> bool {
        matches!(self.0.as_slice(), [(None, Angles { scaled: Scaled::Not, .. })])
    }

    /// Whether all layers are alike.
    pub(super) fn alike(&self) -> bool {
        self.0.len() == 1
    }

    /// `rope_parameters`, complete.
    pub(super) fn json(&self) -> Value {
        match self.0.as_slice() {
            [(None, angles)] => angles.json(),
            all => {
                let one = |(name, angles): &(Option<String>, Angles)| {
                    (name.clone().unwrap_or_default(), angles.json())
                };
                Value::Object(all.iter().map(one).collect())
            }
        }
    }
}

impl Angles {
    fn read(
        all: &Map<String, Value>,
        (top, default): (Option<f64>, f64),
        original: Option<usize>,
        positions: usize,
    ) -> Result<Angles, String> {
        let there = |name: &str| all.get(name).filter(|value| !value.is_null());
        let of = |name: &str| there(name).map(|value| number(name, value)).transpose();
        let must = |name: &str| {
            of(name)?.ok_or_else(|| format!("{CONFIG}: rotary positions without {name}"))
        };
        let base = match (of("rope_theta")?, top) {
            (Some(own), Some(top)) if own != top => {
                return Err(format!(
                    "{CONFIG}: rope_theta is {top} at top level, but {own} inside"
                ));
            }
            (own, top) => own.or(top).unwrap_or(default),
        };
        if of("partial_rotary_factor")?.is_some_and(|part| part != 1.0) {
            return Err(format!("{CONFIG}: partial_rotary_factor"));
        }
        let kind = match (there("rope_type"), there("type")) {
            (Some(a), Some(b)) if !same(a, b) => {
                return Err(format!("{CONFIG}: rope_type is {a}, but type is {b}"));
            }
            (a, b) => a.or(b),
        };
        let scaled = match kind.map(|kind| kind.as_str().unwrap_or_default()) {
            None | Some("default") => Scaled::Not,
            Some("linear") => Scaled::Linear(must("factor")?),
            Some("llama3") => Scaled::Llama3(Scaling {
                factor: must("factor")?,
                low_freq_factor: must("low_freq_factor")?,
                high_freq_factor: must("high_freq_factor")?,
                original_max_position_embeddings: match there("original_max_position_embeddings") {
                    Some(value) => size("original_max_position_embeddings", value)?,
                    None => original.unwrap_or(positions),
                },
            }),
            Some(other) => {
                return Err(format!("{CONFIG}: the judge does not know rope_type {other:?}"));
            }
        };
        Ok(Angles { base, scaled })
    }

    fn json(&self) -> Value {
        let mut all = json!({"rope_type": "default", "rope_theta": self.base});
        match self.scaled {
            Scaled::Not => {}
            Scaled::Linear(factor) => {
                all["rope_type"] = json!("linear");
                all["factor"] = json!(factor);
            }
            Scaled::Llama3(scaling) => {
                if let (Value::Object(all), Value::Object(more)) = (&mut all, json!(scaling)) {
                    all.extend(more);
                }
                all["rope_type"] = json!("llama3");
            }
        }
        all
    }
}
