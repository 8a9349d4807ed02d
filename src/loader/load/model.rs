//! A loaded model: what its files said, what was found of them, and its memory.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::contract::plan::{LoadTimes, MemoryPlan};
use crate::contract::reply::{GateReport, TensorEntry, Transfer};
use crate::contract::{Code, DType, Device, Phase};

use crate::gpu::{Decoder, Runner};

use crate::loader::error::{LoadError, Result};
use crate::loader::format::Import;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::infer::RunnableModel;
use crate::loader::memory;
use crate::loader::memory::Memory;

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    /// Where the load was asked to go, and where the bytes are.
    pub asked: Device,
    /// Size of the file, or of all files together, in bytes.
    pub file_bytes: u64,
    /// SHA-256 of the bytes that were used; of several files, that over their digests as bytes, in
    /// ascending order of their names.
    pub sha256: [u8; 32],
    /// The tensors, in the header's order.
    pub tensors: Vec<Held>,
    /// The header's `__metadata__`; the first file's that has any.
    pub metadata: Option<BTreeMap<String, String>>,
    /// What the gates looked at; empty without admission.
    pub gates: Vec<GateReport>,
    /// How the bytes travelled to a device.
    pub transfer: Option<Transfer>,
    /// How long the load took.
    pub duration: Duration,
    /// Where that time went.
    pub times: LoadTimes,
    /// The memory that it takes to run, where it generates.
    pub plan: Option<MemoryPlan>,
    /// How it is run, where that was asked for.
    pub runnable: Option<RunnableModel>,
    /// What its device keeps between runs; made by the first. Before the memory, so that work in
    /// flight is waited for before memory is given back.
    pub runner: Option<Runner>,
    /// What goes on from a prompt there; made by the first that does.
    pub decoder: Option<Decoder>,
    /// The bytes.
    pub memory: Memory,
}

/// A tensor of a loaded model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What the file says of it.
    pub info: TensorInfo,
    /// Its element type in memory.
    pub dtype: DType,
    /// Where it begins in the model's memory, in bytes.
    pub offset: u64,
    /// Its size in memory, in bytes.
    pub bytes: u64,
    /// What is done to its bytes on their way there, besides a change of type.
    pub import: Import,
}

impl Held {
    /// The contract's form.
    pub fn entry(&self) -> TensorEntry {
        TensorEntry {
            name: self.info.name.clone(),
            stored: self.info.dtype,
            dtype: self.dtype,
            shape: self.info.shape.clone(),
            bytes: self.bytes,
        }
    }
}

impl Model {
    /// The tensor with that name.
    ///
    /// # Errors
    /// `unknown_tensor`.
    pub fn tensor(&self, name: &str) -> Result<&Held> {
        self.tensors.iter().find(|tensor| tensor.info.name == name).ok_or_else(|| {
            LoadError::refused(Phase::Request, Code::UnknownTensor, "no such tensor in the model")
                .tensor(name)
                .expected("a name that the load reported", crate::loader::error::quote(name))
        })
    }

    /// A tensor's bytes, in its element type in memory.
    ///
    /// # Errors
    /// `out_of_host_memory`, `device_fault`.
    pub fn read(&self, tensor: &Held) -> Result<Vec<u8>> {
        let mut bytes = memory::host_bytes(tensor.bytes)?;
        self.memory.read(tensor.offset, &mut bytes)?;
        Ok(bytes)
    }
}
