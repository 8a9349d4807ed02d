//! A batch of tokens, and the states that a trace records.

use candle_core::{DType, Device, Tensor};

use super::error::Result;
use crate::contract::inference::State;

/// A batch of tokens. Each field is row-major, `[rows, columns]`.
pub(super) struct Tokens {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) ids: Vec<i64>,
    pub(super) types: Vec<i64>,
    pub(super) mask: Vec<i64>,
}

impl Tokens {
    pub(super) fn new(
        (rows, columns): (usize, usize),
        ids: &[i64],
        mask: &[i64],
        types: &[i64],
    ) -> Result<Tokens> {
        let types = if types.is_empty() { vec![0; ids.len()] } else { types.to_vec() };
        Ok(Tokens { rows, columns, ids: ids.to_vec(), types, mask: mask.to_vec() })
    }

    /// A table's rows for these indices, `[rows, columns, width]`.
    pub(super) fn look_up(&self, table: &Tensor, indices: &[i64]) -> Result<Tensor> {
        let indices: Vec<u32> = indices.iter().map(|index| *index as u32).collect();
        let indices = Tensor::from_vec(indices, self.rows * self.columns, &Device::Cpu)?;
        let width = table.dim(1)?;
        Ok(table.index_select(&indices, 0)?.reshape((self.rows, self.columns, width))?)
    }
}

/// Records states if a trace is asked for.
pub(super) struct States {
    pub(super) kept: Vec<State>,
    pub(super) trace: bool,
}

impl States {
    pub(super) fn show(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        if self.trace {
            self.kept.push(state(name, tensor)?);
        }
        Ok(())
    }
}

pub(super) fn state(name: &str, tensor: &Tensor) -> Result<State> {
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    Ok(State { name: name.to_owned(), shape: tensor.dims().to_vec(), values })
}
