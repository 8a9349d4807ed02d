//! The reference loader. It implements the contract's verbs on top of one load path.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::contract::inference::Compute;
use crate::contract::reply::{
    Block, DeviceInfo, Done, Exported, Forwarded, Generated, Holdings, Introduction, Loaded,
    Placement, Validated, Written,
};
use crate::contract::request::{
    DeviceQuery, Export, Forward, Generate, Hello, Load, Multiply, Read, Stat, Stream, Synchronize,
    Unload, Validate,
};
use crate::contract::{
    Capabilities, Capability, DType, Device, Failure, Loader, PROTOCOL, PROTOCOL_CHANGES,
    PROTOCOL_GUIDE, Phase, Support,
};

use super::decisions::{Honest, LoadDecisions};
use super::device;
use super::device::Gpus;
use super::error::{LoadError, Result, shape_text};
use super::format::tensor::PlacedTensor;
use super::load;
use super::load::model::Model;
use super::memory::Memory;
use super::progress::Progress;
use super::read::digest::hex;
use super::read::file::OpenFile;
use super::verbs::{forward, generate, preflight, probe, read_back};
use crate::loader::remedies::request::{
    EXPORT_ON_HOST, EXPORT_STREAMED, HANDLE_NOT_KNOWN, MULTIPLY_ON_HOST, MULTIPLY_STREAMED,
    NOT_MULTIPLICABLE, PROTOCOL_VERSION, STREAM_ON_HOST,
};

/// The bundled loader. Holds any number of models until they are unloaded.
pub struct ReferenceLoader {
    name: String,
    decisions: Box<dyn LoadDecisions>,
    gpus: Gpus,
    models: BTreeMap<u64, Model>,
    last: u64,
    progress: Arc<Progress>,
}

impl ReferenceLoader {
    /// Creates the honest loader without models.
    pub fn new() -> Self {
        ReferenceLoader::with_decisions(Box::new(Honest))
    }

    /// A loader whose decisions are made by `decisions`.
    pub fn with_decisions(decisions: Box<dyn LoadDecisions>) -> Self {
        ReferenceLoader {
            name: "weighbridge-reference".to_string(),
            decisions,
            gpus: Gpus::default(),
            models: BTreeMap::new(),
            last: 0,
            progress: Arc::default(),
        }
    }

    /// Changes the name that `hello` reports.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Returns the counters of the current load, for reading from another thread.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    fn model(&self, handle: u64) -> Result<&Model> {
        self.models.get(&handle).ok_or_else(|| unknown(handle))
    }

    fn load_model(&mut self, request: &Load) -> Result<Loaded> {
        let model = load::load(&mut self.gpus, &*self.decisions, request, &self.progress)?;
        let began = Instant::now();
        self.last += 1;
        let unused = model.runnable.as_ref().map(|runnable| runnable.parts.unused.clone());
        let mut loaded = Loaded {
            handle: self.last,
            device: self.decisions.claimed_device(model.asked, model.memory.device()),
            file_bytes: model.file_bytes,
            sha256: Some(hex(&model.sha256)),
            held_bytes: model.memory.bytes(),
            tensors: model.tensors.iter().map(PlacedTensor::entry).collect(),
            metadata: model.metadata.clone(),
            gates: model.gates.clone(),
            transfer: model.transfer.clone(),
            plan: model.plan.map(|plan| self.decisions.plan(plan)),
            unused: unused.map(|names| self.decisions.unused(names)),
            times: None,
            parts: Vec::new(),
        };
        if let Some(divided) = &model.divided {
            loaded.parts = self.decisions.parts(divided.parts(&model.tensors));
        }
        let mut times = model.times.clone();
        self.models.insert(self.last, model);
        times.register_us += u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        loaded.times = Some(self.decisions.times(times));
        Ok(loaded)
    }

    fn export_model(&mut self, Export { handle, rank }: Export) -> Result<Exported> {
        let (memory, held) = self.model(handle)?.held(rank)?;
        let Memory::Device(block) = memory else {
            let message = "host memory has no CUDA IPC handle";
            return Err(LoadError::unsupported(Phase::Read, EXPORT_ON_HOST, message)
                .expected("a model on a CUDA device", "one in host memory"));
        };
        if block.is_streamed() {
            let message =
                "the model is streamed, so that its layers have no device memory of their own";
            return Err(LoadError::unsupported(Phase::Read, EXPORT_STREAMED, message)
                .expected("a model that is whole on the device", "a streamed one"));
        }
        let mut blocks = Vec::new();
        if let Some(buffer) = block.buffer() {
            let handle_bytes = buffer
                .ipc_handle()
                .map_err(|error| device::fault(block.ordinal(), Phase::Read, &error))?;
            blocks.push(Block {
                ipc: hex(&handle_bytes),
                pointer: self.decisions.pointer(handle, buffer.pointer()),
                bytes: block.bytes(),
            });
        }
        let tensors = held.into_iter().map(|one| Placement {
            name: one.name.to_owned(),
            block: (one.bytes > 0).then_some(0),
            offset: one.offset,
            bytes: one.bytes,
        });
        Ok(Exported { blocks, tensors: tensors.collect() })
    }

    fn multiply_tensors(&self, request: &Multiply) -> Result<Written> {
        let model = self.model(request.handle)?;
        let (a, b) = (model.tensor(&request.a)?, model.tensor(&request.b)?);
        let (m, k) = matrix(a)?;
        let (inner, n) = matrix(b)?;
        if k != inner {
            return Err(not_multiplicable(b, &format!("{k} rows"), &format!("{inner} rows")));
        }
        let Memory::Device(block) = &model.memory else {
            let message = "the vendor's BLAS multiplies device memory only";
            return Err(LoadError::unsupported(Phase::Infer, MULTIPLY_ON_HOST, message)
                .expected("a model on a CUDA device", "one in host memory"));
        };
        if block.is_streamed() {
            let message = "the model is streamed: its matrices are not on the device";
            return Err(LoadError::unsupported(Phase::Infer, MULTIPLY_STREAMED, message)
                .expected("a model that is whole on the device", "a streamed one"));
        }
        let product = probe::multiply(block, a.offset, b.offset, (m, k, n))?;
        let bytes: Vec<u8> = product.iter().flat_map(|value| value.to_le_bytes()).collect();
        let shape = [m as u64, n as u64];
        let entry = read_back::Entry {
            name: "c",
            dtype: DType::F32,
            shape: &shape,
            bytes: bytes.len() as u64,
        };
        read_back::tensor(entry, &bytes, &request.into)
    }

    fn send_and_return(&mut self, request: &Stream) -> Result<Written> {
        let Device::Cuda(ordinal) = request.device else {
            let message = "the host has no CUDA streams";
            return Err(LoadError::unsupported(Phase::Request, STREAM_ON_HOST, message)
                .expected("a CUDA device", "cpu"));
        };
        self.gpus.context(ordinal)?;
        let mut source = OpenFile::open(&request.path)?;
        let bytes = source.bytes() as usize;
        let fill = |into: &mut [u8]| {
            source.read(into)?;
            source.unchanged()
        };
        let keep = |back: &[u8]| read_back::file(&request.into, |out| out.put(back));
        probe::round_trip(&mut self.gpus, ordinal, bytes, request.rounds, fill, keep)
    }
}

impl Default for ReferenceLoader {
    fn default() -> Self {
        ReferenceLoader::new()
    }
}

impl Loader for ReferenceLoader {
    fn hello(&mut self, request: Hello) -> std::result::Result<Introduction, Failure> {
        if request.protocol != PROTOCOL {
            let message =
                format!("this loader speaks only protocol {PROTOCOL}: {PROTOCOL_CHANGES}");
            let cause = PROTOCOL_VERSION.about([PROTOCOL_GUIDE]);
            return Err(LoadError::refused(Phase::Request, cause, message)
                .expected(PROTOCOL, request.protocol)
                .into());
        }
        Ok(Introduction {
            protocol: PROTOCOL,
            nonce: request.nonce,
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            capabilities: capabilities(),
        })
    }

    fn computes(&self, _: Compute) -> bool {
        // The load refuses what a model or a device does not allow.
        true
    }

    fn load(&mut self, request: Load) -> std::result::Result<Loaded, Failure> {
        Ok(self.load_model(&request)?)
    }

    fn stat(&mut self, _request: Stat) -> std::result::Result<Holdings, Failure> {
        let mut holdings = Holdings { models: self.models.len() as u64, ..Holdings::default() };
        for model in self.models.values() {
            let memories = match &model.memory {
                Memory::Divided(ranks) => ranks.as_slice(),
                whole => std::slice::from_ref(whole),
            };
            for memory in memories {
                match memory {
                    Memory::Device(block) => {
                        holdings.device_bytes += block.bytes();
                        holdings.host_bytes += block.home_bytes();
                    }
                    host => holdings.host_bytes += host.bytes(),
                }
            }
        }
        Ok(holdings)
    }

    fn unload(&mut self, request: Unload) -> std::result::Result<Done, Failure> {
        let model = self.models.remove(&request.handle).ok_or_else(|| unknown(request.handle))?;
        self.decisions.release(model.memory);
        Ok(Done {})
    }

    fn device(&mut self, request: DeviceQuery) -> std::result::Result<DeviceInfo, Failure> {
        let found = preflight::describe(&mut self.gpus, &request);
        Ok(self.decisions.device_info(&request, found)?)
    }

    fn read(&mut self, request: Read) -> std::result::Result<Written, Failure> {
        Ok(read_back::model(self.model(request.handle)?, request.rank, &request.into)?)
    }

    fn export(&mut self, request: Export) -> std::result::Result<Exported, Failure> {
        Ok(self.export_model(request)?)
    }

    fn synchronize(&mut self, request: Synchronize) -> std::result::Result<Done, Failure> {
        if let Device::Cuda(ordinal) = request.device {
            let context = self.gpus.context(ordinal)?;
            context.synchronize().map_err(|error| device::fault(ordinal, Phase::Copy, &error))?;
        }
        Ok(Done {})
    }

    fn stream(&mut self, request: Stream) -> std::result::Result<Written, Failure> {
        Ok(self.send_and_return(&request)?)
    }

    fn multiply(&mut self, request: Multiply) -> std::result::Result<Written, Failure> {
        Ok(self.multiply_tensors(&request)?)
    }

    fn forward(&mut self, request: Forward) -> std::result::Result<Forwarded, Failure> {
        let ReferenceLoader { models, gpus, decisions, .. } = self;
        let model = models.get_mut(&request.handle).ok_or_else(|| unknown(request.handle))?;
        Ok(forward::forward(model, gpus, &**decisions, &request)?)
    }

    fn validate(&mut self, request: Validate) -> std::result::Result<Validated, Failure> {
        let ReferenceLoader { models, gpus, decisions, .. } = self;
        let model = models.get_mut(&request.handle).ok_or_else(|| unknown(request.handle))?;
        Ok(forward::validate(model, gpus, &**decisions, &request)?)
    }

    fn generate(&mut self, request: Generate) -> std::result::Result<Generated, Failure> {
        let ReferenceLoader { models, gpus, decisions, .. } = self;
        let model = models.get_mut(&request.handle).ok_or_else(|| unknown(request.handle))?;
        Ok(generate::generate(model, gpus, &**decisions, &request, &mut |_| ())?)
    }
}

/// Returns all capabilities of the reference loader. `device.cuda` is set even on a machine without
/// a GPU; there a request for the GPU fails with the driver's own error.
pub fn capabilities() -> Capabilities {
    Capability::ALL.into_iter().map(|capability| (capability, Support::yes())).collect()
}

fn matrix(tensor: &PlacedTensor) -> Result<(usize, usize)> {
    if tensor.dtype != DType::F32 {
        return Err(not_multiplicable(tensor, "F32", tensor.dtype.name()));
    }
    let sides: Option<Vec<usize>> =
        tensor.info.shape.iter().map(|side| usize::try_from(*side).ok()).collect();
    match sides.as_deref() {
        Some(&[rows, columns]) if rows > 0 && columns > 0 => Ok((rows, columns)),
        _ => Err(not_multiplicable(
            tensor,
            "a matrix",
            &format!("shape {}", shape_text(&tensor.info.shape)),
        )),
    }
}

fn not_multiplicable(tensor: &PlacedTensor, expected: &str, actual: &str) -> LoadError {
    LoadError::refused(Phase::Request, NOT_MULTIPLICABLE, "tensors cannot be multiplied")
        .tensor(&tensor.info.name)
        .expected(expected, actual)
}

fn unknown(handle: u64) -> LoadError {
    LoadError::refused(Phase::Request, HANDLE_NOT_KNOWN, "no loaded model with that handle")
        .expected("the handle of a loaded model", handle)
}

#[cfg(test)]
mod tests;
