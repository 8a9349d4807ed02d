//! Runnable models that the harness generates: configuration, head and every weight are known.
//!
//! A [`Recipe`] describes a model and the seed of its weights. [`Model`] holds a model in memory;
//! [`mod@file`] writes one of any size to a folder. The [`registry`] has the recipes of the
//! thirteen encoder models; [`random`] makes recipes that no loader can know beforehand.

pub mod apart;
pub mod chat;
pub mod config;
pub mod decoders;
pub mod deploy;
pub mod described;
pub mod documents;
pub mod file;
pub mod fill;
pub mod foreign;
pub mod generation;
pub mod goldens;
pub mod published;
pub mod random;
pub mod recipe;
pub mod registry;
pub mod special;
pub mod spelling;
pub mod surgery;
pub mod tensors;
pub mod tokenizer;

use serde_json::Value;

use crate::contract::DType;
use crate::contract::inference::Head;

pub use self::recipe::{Architecture, HeadKind, Recipe};

/// A model in memory.
#[derive(Clone, Debug)]
pub struct Model {
    /// The content of `config.json`.
    pub config: Value,
    /// How the output is computed from the token states.
    pub head: Head,
    /// Every tensor, in the order of the file.
    pub tensors: Vec<Tensor>,
    /// Number of weight files.
    pub shards: usize,
}

/// One tensor of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Its elements, little-endian, row-major.
    pub bytes: Vec<u8>,
}

impl Model {
    /// Builds a recipe's model in memory.
    pub fn build(recipe: &Recipe) -> Model {
        let tensors = tensors::of(recipe)
            .into_iter()
            .map(|spec| Tensor {
                bytes: fill::bytes(&recipe.seed, &spec, recipe.dtype),
                name: spec.name,
                dtype: recipe.dtype,
                shape: spec.shape,
            })
            .collect();
        Model { config: config::of(recipe), head: recipe.head(), tensors, shards: recipe.shards }
    }

    /// The tensors of a safetensors file, read with the `safetensors` crate.
    ///
    /// # Errors
    /// The crate's error, or a dtype that the contract has no name for.
    pub fn tensors_of(file: &[u8]) -> Result<Vec<Tensor>, String> {
        let file =
            safetensors::SafeTensors::deserialize(file).map_err(|error| error.to_string())?;
        let one = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            let dtype = serde_json::from_value(Value::String(view.dtype().to_string()));
            let dtype =
                dtype.map_err(|_| format!("{name}: dtype {}, which is unknown", view.dtype()))?;
            let (shape, bytes) = (view.shape().to_vec(), view.data().to_vec());
            Ok(Tensor { name, dtype, shape, bytes })
        };
        file.tensors().into_iter().map(one).collect()
    }

    /// A tensor by name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// A tensor by name, to change.
    pub fn tensor_mut(&mut self, name: &str) -> Option<&mut Tensor> {
        self.tensors.iter_mut().find(|tensor| tensor.name == name)
    }
}

impl Tensor {
    /// Its elements as F32, without rounding; empty for dtypes other than F32, F16 and BF16.
    pub fn values(&self) -> Vec<f32> {
        let halves = || self.bytes.as_chunks::<2>().0.iter();
        match self.dtype {
            DType::F16 => halves().map(|raw| half::f16::from_le_bytes(*raw).to_f32()).collect(),
            DType::BF16 => halves().map(|raw| half::bf16::from_le_bytes(*raw).to_f32()).collect(),
            DType::F32 => {
                self.bytes.as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Replaces its elements by these, each rounded to the tensor's dtype.
    pub fn set_values(&mut self, values: &[f32]) {
        self.bytes = fill::encode(values, self.dtype);
    }
}
