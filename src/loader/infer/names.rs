//! Finds a model's tensors by their roles. Refuses a model that lacks one.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::DType;
use crate::loader::error::{LoadError, Result, quote, shape_text};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::remedies::Cause;
use crate::loader::remedies::names::{
    ADAPTER_ALONE, HEAD_MISSING, MASKED_HEAD_MISSING, NAMES_PREFIXED, NORMS_OLD_NAMES,
    QUANTISED_NAMES, SHAPE_DIFFERS, TENSORS_MISSING, WEIGHT_TYPE,
};

use super::ops::{Linear, Norm, NormKind, Weight};

/// How many missing tensors an error names.
const NAMED: usize = 5;

/// Looks up tensors by name, and records the names that are missing.
pub struct Finder<'t> {
    tensors: BTreeMap<&'t str, &'t PlacedTensor>,
    /// The prefix of the architecture's published names.
    family: &'static str,
    prefix: &'static str,
    used: BTreeSet<&'t str>,
    missing: usize,
    named: Vec<String>,
    cut: bool,
    misfit: Option<LoadError>,
}

impl<'t> Finder<'t> {
    /// Creates a finder. Names are expected with the prefix if the anchor tensor has it. If the
    /// anchor is missing, they are also expected with the prefix if any name begins with it, or if
    /// the anchor occurs after another prefix. An error about missing tensors then shows the
    /// published names.
    pub fn new(tensors: &'t [PlacedTensor], prefix: &'static str, anchor: &str) -> Self {
        let tensors: BTreeMap<&str, &PlacedTensor> =
            tensors.iter().map(|tensor| (tensor.info.name.as_str(), tensor)).collect();
        let prefixed = tensors.contains_key(format!("{prefix}{anchor}").as_str())
            || !tensors.contains_key(anchor)
                && tensors.keys().any(|name| {
                    let other = name.strip_suffix(anchor).is_some_and(|start| start.ends_with('.'));
                    name.starts_with(prefix) || other
                });
        let family = prefix;
        let prefix = if prefixed { prefix } else { "" };
        Finder {
            tensors,
            family,
            prefix,
            used: BTreeSet::new(),
            missing: 0,
            named: Vec::new(),
            cut: false,
            misfit: None,
        }
    }

    /// Removes the prefix for later look-ups. Tensors of heads are outside the body and have no
    /// prefix.
    pub fn outside(&mut self) {
        self.prefix = "";
    }

    /// Returns the number of layers to look for. Every layer has its own tensors, so if the
    /// configuration has more layers than there are tensors, some are missing. The limit avoids a
    /// search for all of them.
    pub fn layers(&mut self, asked: usize) -> usize {
        let enough = self.tensors.len() + 1;
        self.cut |= asked > enough;
        asked.min(enough)
    }

    /// Whether a tensor of this name exists.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(format!("{}{name}", self.prefix).as_str())
    }

    /// Number of rows of a matrix, if it exists.
    pub fn rows(&self, name: &str) -> Option<usize> {
        let held = self.tensors.get(format!("{}{name}", self.prefix).as_str())?;
        held.info.shape.first().and_then(|rows| usize::try_from(*rows).ok())
    }

    /// Finds a matrix of this shape.
    pub fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Weight {
        self.find(name, &[rows as u64, columns as u64], rows, columns)
    }

    /// Finds a vector of this length.
    pub fn vector(&mut self, name: &str, length: usize) -> Weight {
        self.find(name, &[length as u64], 1, length)
    }

    /// Finds a linear layer with a bias.
    pub fn biased(&mut self, name: &str, outputs: usize, inputs: usize) -> Linear {
        let weight = self.matrix(&format!("{name}.weight"), outputs, inputs);
        let bias = self.vector(&format!("{name}.bias"), outputs);
        Linear { weight, bias: Some(bias), transposed: false }
    }

    /// Finds a linear layer, and its bias if that exists.
    pub fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Linear {
        if self.has(&format!("{name}.bias")) {
            return self.biased(name, outputs, inputs);
        }
        self.bare(name, outputs, inputs)
    }

    /// Finds a linear layer, and ignores any bias.
    pub fn bare(&mut self, name: &str, outputs: usize, inputs: usize) -> Linear {
        let weight = self.matrix(&format!("{name}.weight"), outputs, inputs);
        Linear { weight, bias: None, transposed: false }
    }

    /// Finds a linear layer, with a bias if `bias` is true.
    pub fn layer(&mut self, name: &str, outputs: usize, inputs: usize, bias: bool) -> Linear {
        match bias {
            true => self.biased(name, outputs, inputs),
            false => self.bare(name, outputs, inputs),
        }
    }

    /// Finds a linear layer with a bias and a weight stored as `[in, out]`.
    pub fn transposed(&mut self, name: &str, outputs: usize, inputs: usize) -> Linear {
        let weight = self.matrix(&format!("{name}.weight"), inputs, outputs);
        let bias = self.vector(&format!("{name}.bias"), outputs);
        Linear { weight, bias: Some(bias), transposed: true }
    }

    /// Finds a norm. A `LayerNorm` has a bias, an `RMSNorm` has none.
    pub fn norm(&mut self, name: &str, kind: NormKind, width: usize, epsilon: f32) -> Norm {
        let weight = self.vector(&format!("{name}.weight"), width);
        let bias = match kind {
            NormKind::Layer => Some(self.vector(&format!("{name}.bias"), width)),
            NormKind::Rms => None,
        };
        Norm { kind, weight, bias, epsilon }
    }

    fn find(&mut self, name: &str, shape: &[u64], rows: usize, columns: usize) -> Weight {
        let name = format!("{}{name}", self.prefix);
        let nothing = Weight { offset: 0, dtype: DType::F32, rows, columns };
        let Some((known, held)) = self.tensors.get_key_value(name.as_str()) else {
            self.missing += 1;
            if self.named.len() < NAMED {
                self.named.push(name);
            }
            return nothing;
        };
        let held: &PlacedTensor = held;
        self.used.insert(known);
        if held.info.shape != shape {
            let wanted = format!("{} by the configuration", shape_text(shape));
            self.misfit(
                LoadError::header(
                    SHAPE_DIFFERS,
                    format!("tensor {} has another shape", quote(&name)),
                )
                .tensor(&name)
                .expected(wanted, shape_text(&held.info.shape)),
            );
            return nothing;
        }
        if !matches!(held.dtype, DType::F32 | DType::F16 | DType::BF16) {
            self.misfit(
                LoadError::header(
                    WEIGHT_TYPE,
                    format!("tensor {} is not of a floating-point type", quote(&name)),
                )
                .tensor(&name)
                .dtype(held.dtype)
                .expected("F32, F16 or BF16 for a weight", held.dtype),
            );
            return nothing;
        }
        Weight { offset: held.offset, dtype: held.dtype, rows, columns }
    }

    /// Records the first error. Missing tensors are reported before it.
    fn misfit(&mut self, error: LoadError) {
        self.misfit.get_or_insert(error);
    }

    /// Ends the search. Returns the names of unused tensors if everything was found.
    ///
    /// # Errors
    /// `incomplete_model` with how many tensors are missing and the first names, `shape_mismatch`.
    pub fn end(self, architecture: &str) -> Result<Vec<String>> {
        if let Some(first) = self.named.first() {
            let least = if self.cut { "at least " } else { "" };
            let count = format!("{least}{}", self.missing);
            let names: Vec<String> = self.named.iter().map(|name| quote(name)).collect();
            let more = if self.missing > NAMED { ", ..." } else { "" };
            return Err(LoadError::header(
                self.cause(),
                format!("{count} tensors missing for {architecture}: {}{more}", names.join(", ")),
            )
            .tensor(first)
            .expected("every tensor of the architecture", format!("{count} missing")));
        }
        match self.misfit {
            Some(misfit) => Err(misfit),
            None => {
                let unused = self.tensors.keys().filter(|name| !self.used.contains(*name));
                Ok(unused.map(|name| (*name).to_owned()).collect())
            }
        }
    }

    /// Guesses from the existing names why tensors are missing, for the remedy.
    fn cause(&self) -> Cause {
        let names = || self.tensors.keys().copied();
        if names().any(|name| name.contains(".lora_A.") || name.contains(".lora_B.")) {
            return ADAPTER_ALONE.into();
        }
        if let Some(name) = names().find(|name| QUANTISED.iter().any(|end| name.ends_with(end))) {
            return QUANTISED_NAMES.about([&quote(name)]);
        }
        if let Some(prefix) = self.other_prefix() {
            return NAMES_PREFIXED.about([&quote(prefix)]);
        }
        let old = |name: &String| {
            let weight = name.strip_suffix(".weight").map(|stem| format!("{stem}.gamma"));
            let old = weight.or(name.strip_suffix(".bias").map(|stem| format!("{stem}.beta")));
            old.is_some_and(|old| self.tensors.contains_key(old.as_str()))
        };
        if self.named.iter().any(old) {
            return NORMS_OLD_NAMES.into();
        }
        match self.named.as_slice() {
            [head] if head == "lm_head.weight" => HEAD_MISSING.about([&quote(head)]),
            all if all.len() == self.missing
                && all.iter().all(|name| name.starts_with("cls.predictions")) =>
            {
                MASKED_HEAD_MISSING.into()
            }
            _ => TENSORS_MISSING.into(),
        }
    }

    /// Returns an unexpected prefix of the architecture's names, if more than half of all names
    /// have it.
    fn other_prefix(&self) -> Option<&str> {
        let first = self.named.first()?;
        let bare = first.strip_prefix(self.family).unwrap_or(first);
        let before = |wanted: &str| {
            let starts = self.tensors.keys().filter_map(|name| name.strip_suffix(wanted));
            // A prefix with a number is the name of a layer, and thus a part of the model.
            let plain = |start: &&str| {
                start.ends_with('.')
                    && !start
                        .split('.')
                        .any(|part| part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty())
            };
            starts.filter(plain).max_by_key(|start| start.len())
        };
        let prefix = before(first).or_else(|| before(bare))?;
        let begin = self.tensors.keys().filter(|name| name.starts_with(prefix)).count();
        (begin * 2 > self.tensors.len() && prefix != self.family).then_some(prefix)
    }
}

/// Endings of the names of quantised weights: GPTQ and AWQ, FP8, bitsandbytes.
const QUANTISED: [&str; 6] =
    [".qweight", ".qzeros", ".weight_scale", ".weight_scale_inv", ".absmax", ".quant_map"];

#[cfg(test)]
mod tests;
