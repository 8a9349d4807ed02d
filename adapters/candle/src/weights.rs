//! The tensors of a file as candle holds them, and writing them back to a file.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::safetensors::{Load as _, MmapedSafetensors, save};
use candle_core::{DType as Kind, Device, Tensor};
use weighbridge::contract::reply::{TensorEntry, Written};
use weighbridge::contract::request::DtypePolicy;
use weighbridge::contract::{Code, DType, Failure, Phase};

use weighbridge_adapter::{refused, unopened, written};

use crate::failure::asked;

/// Tensors by name, with the table that a load answers.
pub struct Weights {
    pub tensors: HashMap<String, Tensor>,
    pub table: Vec<TensorEntry>,
    pub file_bytes: u64,
}

impl Weights {
    /// Loads a file as candle's own programs do: mapped, then tensor by tensor.
    pub fn load(path: &Path, keep: DtypePolicy, on: &Device) -> Result<Weights, Failure> {
        // SAFETY: The file is only read. candle leaves it to its users that nobody changes the file.
        let mapped = asked(Phase::Header, || unsafe { MmapedSafetensors::new(path) })
            .map_err(|failure| failure.path(path))?;
        let mut weights = Weights { tensors: HashMap::new(), table: Vec::new(), file_bytes: 0 };
        for (name, view) in mapped.tensors() {
            let tensor = asked(Phase::Copy, || {
                let tensor = view.load(on)?;
                match (keep, tensor.dtype()) {
                    (DtypePolicy::F32, Kind::F16 | Kind::BF16) => tensor.to_dtype(Kind::F32),
                    _ => Ok(tensor),
                }
            })
            .map_err(|failure| failure.tensor(&name))?;
            weights.table.push(entry(&name, view.dtype(), &tensor)?);
            weights.tensors.insert(name, tensor);
        }
        weights.file_bytes = fs::metadata(path).map_err(|error| io(Phase::Open, &error))?.len();
        Ok(weights)
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.table.iter().map(|entry| entry.bytes).sum()
    }

    /// Writes all tensors by candle's own writer.
    pub fn write(&self, into: &Path) -> Result<Written, Failure> {
        write(&self.tensors, into)
    }
}

/// Writes named tensors, and reads the size and digest of the file.
pub fn write(tensors: &HashMap<String, Tensor>, into: &Path) -> Result<Written, Failure> {
    asked(Phase::Read, || save(tensors, into))?;
    written(into).map_err(|error| io(Phase::Read, &error))
}

fn entry(name: &str, stored: safetensors::Dtype, tensor: &Tensor) -> Result<TensorEntry, Failure> {
    let held = safetensors::Dtype::from(tensor.dtype());
    let shape: Vec<u64> = tensor.dims().iter().map(|side| *side as u64).collect();
    let (stored, dtype) = (named(stored)?, named(held)?);
    let bytes = shape.iter().product::<u64>() * dtype.bits() / 8;
    Ok(TensorEntry { name: name.to_owned(), stored, dtype, shape, bytes })
}

fn named(dtype: safetensors::Dtype) -> Result<DType, Failure> {
    let name = format!("{dtype:?}");
    DType::from_name(&name).ok_or_else(|| {
        refused(Phase::Header, Code::UnsupportedDtype, format!("element type {name}"))
    })
}

fn io(phase: Phase, error: &std::io::Error) -> Failure {
    refused(phase, unopened(error), error.to_string())
}
