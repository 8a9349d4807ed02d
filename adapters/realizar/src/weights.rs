//! The tensors of a file as realizar holds them, and writing them back to a file.

use std::collections::BTreeMap;
use std::path::Path;

use realizar::MappedSafeTensorsModel;
use realizar::safetensors::SafetensorsDtype;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use weighbridge::contract::reply::{GateReport, TensorEntry, Written};
use weighbridge::contract::request::DtypePolicy;
use weighbridge::contract::{Code, DType, Failure, Phase};

use weighbridge_adapter::refused;

use crate::failure::asked;
use crate::gates::Gates;

/// A mapped file, the tensors that were widened, and the table that a load answers.
pub struct Weights {
    mapped: MappedSafeTensorsModel,
    widened: BTreeMap<String, Vec<u8>>,
    pub table: Vec<TensorEntry>,
    pub gates: Vec<GateReport>,
}

impl Weights {
    /// Maps a file and requests every tensor, because realizar checks a tensor only when it is requested.
    pub fn load(path: &Path, keep: DtypePolicy, admit: bool) -> Result<Weights, Failure> {
        let mapped = asked(Phase::Header, || MappedSafeTensorsModel::load(path))
            .map_err(|failure| failure.path(path))?;
        let mut names: Vec<String> = mapped.tensor_names().into_iter().map(str::to_owned).collect();
        names.sort();
        let (mut widened, mut table, mut gates) = (BTreeMap::new(), Vec::new(), Gates::default());
        for name in names {
            let Some(info) = mapped.get_tensor_info(&name) else { continue };
            let stored = named(&info.dtype);
            let mut bytes = asked(Phase::Copy, || mapped.get_tensor_bytes(&name))?.len() as u64;
            let mut dtype = stored;
            if keep == DtypePolicy::F32 && matches!(stored, DType::F16 | DType::BF16) {
                let values = asked(Phase::Copy, || mapped.get_tensor_auto(&name))?;
                let wide: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (bytes, dtype) = (wide.len() as u64, DType::F32);
                widened.insert(name.clone(), wide);
            }
            if admit && matches!(stored, DType::F32 | DType::F16 | DType::BF16) {
                let values = asked(Phase::Admit, || mapped.get_tensor_auto(&name))?;
                gates.judge(&name, &info.shape, values)?;
            }
            let shape = info.shape.iter().map(|side| *side as u64).collect();
            table.push(TensorEntry { name, stored, dtype, shape, bytes });
        }
        Ok(Weights { mapped, widened, table, gates: gates.reports() })
    }

    /// Bytes of the whole file.
    pub fn file_bytes(&self) -> u64 {
        self.mapped.file_size() as u64
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.table.iter().map(|entry| entry.bytes).sum()
    }

    /// Writes all tensors.
    pub fn write(&self, into: &Path) -> Result<Written, Failure> {
        let mut views = Vec::new();
        for entry in &self.table {
            let data = match self.widened.get(&entry.name) {
                Some(wide) => wide,
                None => asked(Phase::Read, || self.mapped.get_tensor_bytes(&entry.name))?,
            };
            let shape = entry.shape.iter().map(|side| *side as usize).collect();
            let view = TensorView::new(written(entry.dtype), shape, data);
            views.push((entry.name.clone(), view.map_err(|error| unwritten(&error))?));
        }
        serialize_to_file(views, None, into).map_err(|error| unwritten(&error))?;
        look(into)
    }
}

/// Writes rows of F32 under one name.
pub fn write_f32(
    name: &str,
    shape: &[usize],
    values: &[f32],
    into: &Path,
) -> Result<Written, Failure> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes);
    let view = view.map_err(|error| unwritten(&error))?;
    serialize_to_file([(name, view)], None, into).map_err(|error| unwritten(&error))?;
    look(into)
}

fn look(path: &Path) -> Result<Written, Failure> {
    weighbridge_adapter::written(path).map_err(|error| unwritten(&error))
}

fn unwritten(error: &dyn std::fmt::Display) -> Failure {
    refused(Phase::Read, Code::Internal, error.to_string())
}

fn named(dtype: &SafetensorsDtype) -> DType {
    match dtype {
        SafetensorsDtype::F32 => DType::F32,
        SafetensorsDtype::F16 => DType::F16,
        SafetensorsDtype::BF16 => DType::BF16,
        SafetensorsDtype::I32 => DType::I32,
        SafetensorsDtype::I64 => DType::I64,
        SafetensorsDtype::U8 => DType::U8,
        SafetensorsDtype::Bool => DType::BOOL,
    }
}

/// The name of an element type that [`named`] gives; nothing else is held.
fn written(dtype: DType) -> Dtype {
    match dtype {
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I32 => Dtype::I32,
        DType::I64 => Dtype::I64,
        DType::U8 => Dtype::U8,
        DType::BOOL => Dtype::BOOL,
        _ => Dtype::F32,
    }
}
