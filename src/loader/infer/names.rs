//! Finds a model's tensors by their roles. Refuses a model that lacks one.

mod known;
mod module_path;

use crate::contract::DType;
use crate::loader::error::{LoadError, Result, quote, shape_text};
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::remedies::Cause;
use crate::loader::remedies::names::{
    ADAPTER_ALONE, HEAD_MISSING, MASKED_HEAD_MISSING, NAMES_PARTLY_PREFIXED, NAMES_PREFIXED,
    QUANTISED_NAMES, SHAPE_DIFFERS, SHAPE_OF_DEFAULT, TENSORS_MISSING, TWO_CLAIM_A_NAME,
    WEIGHT_TYPE,
};

use self::known::{Claims, Known};
use super::config::Absent;
use super::ops::{Linear, Norm, NormKind, Weight};

/// How many missing tensors an error names.
const NAMED: usize = 5;

/// Looks up tensors by name, and records the names that are missing.
pub struct Finder<'t> {
    /// The tensors.
    known: Known<'t>,
    /// Whether a part uses each of them.
    used: Vec<bool>,
    /// The prefix of the architecture's published names.
    family: &'static str,
    /// The modules in front of the body's names.
    body: String,
    /// Whether look-ups are for tensors of heads, which lie outside the body.
    is_outside: bool,
    missing: usize,
    named: Vec<String>,
    cut: bool,
    misfit: Option<LoadError>,
    /// Sizes that the configuration does not state.
    absent: Absent,
}

impl<'t> Finder<'t> {
    /// Creates a finder. The body's names are expected behind the modules that stand in front of the
    /// anchor tensor. If the anchor is missing, they are expected behind the modules that most names
    /// have, or with the family's prefix if the anchor occurs after an unknown one. An error about
    /// missing tensors shows such names.
    pub fn new(tensors: &'t [PlacedTensor], family: &'static str, anchor: &str) -> Self {
        let known = Known::new(tensors, family);
        let behind_another = || {
            let other =
                |name: &str| name.strip_suffix(anchor).is_some_and(|start| start.ends_with('.'));
            known.names().any(other).then_some(family)
        };
        let of_anchor = known.claims(anchor).map(|claims| claims.front);
        let body = of_anchor.or_else(behind_another).or_else(|| known.usual_front(family));
        Finder {
            body: body.unwrap_or_default().to_owned(),
            used: vec![false; known.count()],
            known,
            family,
            is_outside: false,
            missing: 0,
            named: Vec::new(),
            cut: false,
            misfit: None,
            absent: Absent::default(),
        }
    }

    /// Names these sizes where a shape follows from them and differs.
    pub fn with_absent(mut self, absent: &Absent) -> Self {
        self.absent = absent.clone();
        self
    }

    /// Later look-ups are for tensors of heads, which are outside the body.
    pub fn outside(&mut self) {
        self.is_outside = true;
    }

    /// Returns the number of layers to look for. Every layer has its own tensors, so if the
    /// configuration has more layers than there are tensors, some are missing. The limit avoids a
    /// search for all of them.
    pub fn layers(&mut self, asked: usize) -> usize {
        let enough = self.known.count() + 1;
        self.cut |= asked > enough;
        asked.min(enough)
    }

    /// Whether a tensor of this name exists.
    pub fn has(&self, name: &str) -> bool {
        self.known.claims(name).is_some() || self.known.named(name).is_some()
    }

    /// Number of rows of a matrix, if it exists.
    pub fn rows(&self, name: &str) -> Option<usize> {
        let claimed = || self.known.claims(name).map(|claims| claims.first);
        let held = self.known.at(self.known.named(name).or_else(claimed)?);
        held.info.shape.first().and_then(|rows| usize::try_from(*rows).ok())
    }

    /// Finds the word embeddings. In a tied model they are the head's matrix too, and some writers
    /// keep it under the name of a head alone.
    pub fn words(
        &mut self,
        name: &str,
        heads_if_tied: &[&str],
        (rows, columns): (usize, usize),
    ) -> Weight {
        let there = |head: &&&str| !self.has(name) && self.has(head);
        let Some(head) = heads_if_tied.iter().find(there) else {
            return self.matrix(name, rows, columns);
        };
        let was_outside = std::mem::replace(&mut self.is_outside, true);
        let words = self.matrix(head, rows, columns);
        self.is_outside = was_outside;
        words
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
        let weight = self.matrix(&weight_of(name), outputs, inputs);
        let bias = self.vector(&bias_of(name), outputs);
        Linear { weight, bias: Some(bias), transposed: false }
    }

    /// Finds a linear layer, and its bias if that exists.
    pub fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Linear {
        if self.has(&bias_of(name)) {
            return self.biased(name, outputs, inputs);
        }
        self.bare(name, outputs, inputs)
    }

    /// Finds a linear layer, and ignores any bias.
    pub fn bare(&mut self, name: &str, outputs: usize, inputs: usize) -> Linear {
        let weight = self.matrix(&weight_of(name), outputs, inputs);
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
        let weight = self.matrix(&weight_of(name), inputs, outputs);
        let bias = self.vector(&bias_of(name), outputs);
        Linear { weight, bias: Some(bias), transposed: true }
    }

    /// Finds a norm. A `LayerNorm` has a bias, an `RMSNorm` has none.
    pub fn norm(&mut self, name: &str, kind: NormKind, width: usize, epsilon: f32) -> Norm {
        let weight = self.vector(&weight_of(name), width);
        let bias = match kind {
            NormKind::Layer => Some(self.vector(&bias_of(name), width)),
            NormKind::Rms => None,
        };
        Norm { kind, weight, bias, epsilon }
    }

    fn find(&mut self, name: &str, shape: &[u64], rows: usize, columns: usize) -> Weight {
        let nothing = Weight { offset: 0, dtype: DType::F32, rows, columns };
        let Some(at) = self.claimed(name) else {
            self.missing += 1;
            if self.named.len() < NAMED {
                self.named.push(self.expected_name(name));
            }
            return nothing;
        };
        let held = self.known.at(at);
        let name = held.info.name.as_str();
        self.used[at] = true;
        if held.info.shape != shape {
            let absent = self.absent.of(name).join(" and ");
            let (cause, wanted, message): (Cause, _, _) = match absent.as_str() {
                "" => (
                    SHAPE_DIFFERS.into(),
                    format!("{} by the configuration", shape_text(shape)),
                    format!("tensor {} has another shape", quote(name)),
                ),
                absent => (
                    SHAPE_OF_DEFAULT.about([absent]),
                    format!("{} by {absent}", shape_text(shape)),
                    format!(
                        "config.json states no {absent}, and tensor {} has another shape",
                        quote(name)
                    ),
                ),
            };
            self.misfit(
                LoadError::header(cause, message)
                    .tensor(name)
                    .expected(wanted, shape_text(&held.info.shape)),
            );
            return nothing;
        }
        if !matches!(held.dtype, DType::F32 | DType::F16 | DType::BF16) {
            self.misfit(
                LoadError::header(
                    WEIGHT_TYPE,
                    format!("tensor {} is not of a floating-point type", quote(name)),
                )
                .tensor(name)
                .dtype(held.dtype)
                .expected("F32, F16 or BF16 for a weight", held.dtype),
            );
            return nothing;
        }
        Weight { offset: held.offset, dtype: held.dtype, rows, columns }
    }

    /// The place of the tensor that claims a name of the architecture. Records an error where several claim
    /// it, or where it lies in other modules than the rest of the model.
    fn claimed(&mut self, name: &str) -> Option<usize> {
        let claims = self.known.claims(name);
        // The request may name a head's layer as the file does.
        if self.is_outside
            && let Some(at) = self.known.named(name)
            && claims.is_none_or(|claims| claims.second.is_none())
        {
            return Some(at);
        }
        let Claims { front, first, second } = claims?;
        let name_of = |at: usize| self.known.at(at).info.name.as_str();
        let known = name_of(first);
        let two = match second {
            Some(other) => Some((TWO_CLAIM_A_NAME, name_of(other))),
            // Heads lie further out than the body: behind fewer of the same modules.
            None if self.is_outside && self.body.starts_with(front) || self.body == front => None,
            None => {
                let mut used = self.known.names().zip(&self.used).filter(|(_, used)| **used);
                let of_body = used.find(|(name, _)| name.starts_with(self.body.as_str()));
                Some((NAMES_PARTLY_PREFIXED, of_body.map_or("", |(name, _)| name)))
            }
        };
        if let Some((cause, other)) = two {
            let (first, second) = (quote(known), quote(other));
            let what = format!("{}: {first} and {second}", cause.cause);
            self.misfit(
                LoadError::header(cause.about([&first, &second]), what)
                    .tensor(known)
                    .expected("one name for each tensor", format!("{first} and {second}")),
            );
        }
        Some(first)
    }

    /// The name that a missing tensor would have in this file.
    fn expected_name(&self, name: &str) -> String {
        let front = match self.is_outside {
            true => self.body.strip_suffix(self.family).unwrap_or(&self.body),
            false => &self.body,
        };
        format!("{front}{name}")
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
                let unused = self.known.names().zip(&self.used).filter(|(_, used)| !**used);
                Ok(unused.map(|(name, _)| name.to_owned()).collect())
            }
        }
    }

    /// Guesses from the existing names why tensors are missing, for the remedy.
    fn cause(&self) -> Cause {
        let names = || self.known.names();
        if names().any(|name| name.contains(".lora_A.") || name.contains(".lora_B.")) {
            return ADAPTER_ALONE.into();
        }
        if let Some(name) = names().find(|name| QUANTISED.iter().any(|end| name.ends_with(end))) {
            return QUANTISED_NAMES.about([&quote(name)]);
        }
        if let Some(prefix) = self.other_prefix() {
            return NAMES_PREFIXED.about([&quote(prefix)]);
        }
        match self.named.as_slice() {
            [head] if head.ends_with("lm_head.weight") => HEAD_MISSING.about([&quote(head)]),
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
            let starts = self.known.names().filter_map(|name| name.strip_suffix(wanted));
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
        let begin = self.known.names().filter(|name| name.starts_with(prefix)).count();
        (begin * 2 > self.known.count() && prefix != self.family).then_some(prefix)
    }
}

fn weight_of(module: &str) -> String {
    [module, ".weight"].concat()
}

fn bias_of(module: &str) -> String {
    [module, ".bias"].concat()
}

/// Endings of the names of quantised weights: GPTQ and AWQ, FP8, bitsandbytes.
const QUANTISED: [&str; 6] =
    [".qweight", ".qzeros", ".weight_scale", ".weight_scale_inv", ".absmax", ".quant_map"];

#[cfg(test)]
mod tests;
