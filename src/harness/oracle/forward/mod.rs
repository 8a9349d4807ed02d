//! The reference forward pass of a model, in plain tensor operations of candle on the CPU, in F64
//! or F32. It follows the architectures' definitions and shares no code with a loader.

mod attention;
mod bert;
mod check;
mod decoder;
mod error;
mod head;
mod norm;
mod sight;
mod tokens;
mod weights;

use candle_core::{DType, Device, Tensor};

use crate::contract::inference::{Batch, Head, Traced, TracedForward};
use crate::harness::model::{Model, Recipe};

use self::error::Result;
use self::tokens::{States, Tokens, state};
use self::weights::Weights;

pub use self::error::OracleError;

/// The float type that the oracle computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// F32, as inference engines do.
    F32,
    /// F64: the reference that results in lower precision are compared with.
    F64,
}

/// A model with its reference forward pass.
pub struct Oracle {
    weights: Weights,
    head: Head,
}

impl Oracle {
    /// An oracle over a model. Its weights are widened exactly to `precision`.
    ///
    /// # Errors
    /// If a tensor's values do not match its shape.
    pub fn new(model: &Model, precision: Precision) -> Result<Oracle> {
        let dtype = match precision {
            Precision::F32 => DType::F32,
            Precision::F64 => DType::F64,
        };
        Ok(Oracle { weights: Weights::of(model, dtype)?, head: model.head.clone() })
    }

    /// An oracle over the model that a recipe builds.
    ///
    /// # Errors
    /// As [`Oracle::new`].
    pub fn of(recipe: &Recipe, precision: Precision) -> Result<Oracle> {
        Oracle::new(&Model::build(recipe), precision)
    }
}

impl TracedForward for Oracle {
    type Error = OracleError;

    fn forward(&mut self, batch: &Batch, trace: bool) -> Result<Traced> {
        check::input(&self.weights, batch)?;
        let mut states = States { kept: Vec::new(), trace };
        let output = match batch {
            Batch::Vectors { rows, columns, values } => {
                let x = Tensor::from_vec(values.clone(), (*rows, *columns), &Device::Cpu)?;
                head::finish(&self.weights, &self.head, &x.to_dtype(self.weights.dtype)?)?
            }
            Batch::Tokens { rows, columns, ids, mask, types } => {
                let tokens = Tokens::new((*rows, *columns), ids, mask, types)?;
                let last = match self.weights.text("model_type")? {
                    "qwen2" | "qwen3" | "llama" | "mistral" | "phi3" => {
                        decoder::states(&self.weights, &tokens, &mut states)?
                    }
                    "gpt2" => decoder::gpt2(&self.weights, &tokens, &mut states)?,
                    "nomic_bert" => bert::nomic(&self.weights, &tokens, &mut states)?,
                    "bert" | "roberta" => bert::states(&self.weights, &tokens, &mut states)?,
                    other => {
                        return Err(OracleError::Config(format!("unknown model_type {other}")));
                    }
                };
                head::output(&self.weights, &self.head, &tokens, &last, &mut states)?
            }
        };
        Ok(Traced { output: state(self.head.gives().name(), &output)?, states: states.kept })
    }
}

#[cfg(test)]
mod tests;
