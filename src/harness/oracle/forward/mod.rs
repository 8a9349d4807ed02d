//! What a model must give: its forward pass in plain tensor operations of candle, on the CPU, in F64
//! or F32. Written from the architectures' definitions, apart from any loader.

mod attention;
mod bert;
mod check;
mod decoder;
mod head;
mod norm;
mod weights;

use candle_core::{DType, Device, Tensor};

use crate::contract::inference::{Batch, Head, State, Traced, TracedForward};
use crate::harness::model::{Model, Recipe};

use self::weights::Weights;

/// What the oracle computes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// F32, as engines do.
    F32,
    /// F64: the truth that others are measured by.
    F64,
}

/// Why the oracle cannot say.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// A tensor operation that does not go together: the model is not of its architecture.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The configuration lacks a field, or has a value that the oracle does not know.
    #[error("configuration: {0}")]
    Config(String),
    /// A tensor that the architecture needs is not there.
    #[error("no tensor {0}")]
    Missing(String),
    /// The input does not fit the model.
    #[error("input: {0}")]
    Input(String),
}

/// What oracle code answers.
type Result<T> = std::result::Result<T, OracleError>;

/// A model whose output is known.
pub struct Oracle {
    weights: Weights,
    head: Head,
}

impl Oracle {
    /// Over a model, its weights widened exactly.
    ///
    /// # Errors
    /// Where a tensor has another type than F32, F16 or BF16, or no place in memory.
    pub fn new(model: &Model, precision: Precision) -> Result<Oracle> {
        let dtype = match precision {
            Precision::F32 => DType::F32,
            Precision::F64 => DType::F64,
        };
        Ok(Oracle { weights: Weights::of(model, dtype)?, head: model.head.clone() })
    }

    /// Makes a recipe's model and knows it.
    ///
    /// # Errors
    /// As above.
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
                    other => return Err(OracleError::Config(format!("model_type {other}"))),
                };
                head::output(&self.weights, &self.head, &tokens, &last, &mut states)?
            }
        };
        Ok(Traced { output: state(self.head.gives().name(), &output)?, states: states.kept })
    }
}

/// A batch of tokens as tensors, `[rows, columns]`.
struct Tokens {
    rows: usize,
    columns: usize,
    ids: Vec<i64>,
    types: Vec<i64>,
    mask: Vec<i64>,
}

impl Tokens {
    fn new(
        (rows, columns): (usize, usize),
        ids: &[i64],
        mask: &[i64],
        types: &[i64],
    ) -> Result<Tokens> {
        let types = if types.is_empty() { vec![0; ids.len()] } else { types.to_vec() };
        Ok(Tokens { rows, columns, ids: ids.to_vec(), types, mask: mask.to_vec() })
    }

    /// A table's rows for these indices, `[rows, columns, width]`.
    fn look_up(&self, table: &Tensor, indices: &[i64]) -> Result<Tensor> {
        let indices: Vec<u32> = indices.iter().map(|index| *index as u32).collect();
        let indices = Tensor::from_vec(indices, self.rows * self.columns, &Device::Cpu)?;
        let width = table.dim(1)?;
        Ok(table.index_select(&indices, 0)?.reshape((self.rows, self.columns, width))?)
    }
}

/// Keeps states where a trace is asked for.
struct States {
    kept: Vec<State>,
    trace: bool,
}

impl States {
    fn show(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        if self.trace {
            self.kept.push(state(name, tensor)?);
        }
        Ok(())
    }
}

fn state(name: &str, tensor: &Tensor) -> Result<State> {
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    Ok(State { name: name.to_owned(), shape: tensor.dims().to_vec(), values })
}

#[cfg(test)]
mod tests;
