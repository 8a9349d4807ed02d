//! The reference loader: the contract's verbs, each a view over the one load path.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::contract::reply::{
    Block, DeviceInfo, Done, Exported, Forwarded, Generated, Holdings, Introduction, Loaded,
    Placement, Validated, Written,
};
use crate::contract::request::{
    DeviceQuery, Export, Forward, Generate, Hello, Load, Multiply, Read, Stat, Stream, Synchronize,
    Unload, Validate,
};
use crate::contract::{
    Capabilities, Capability, Class, Code, DType, Device, Failure, Loader, PROTOCOL,
    PROTOCOL_CHANGES, PROTOCOL_GUIDE, Phase, Support,
};

use super::decisions::{Honest, Steps};
use super::device;
use super::device::Gpus;
use super::error::{LoadError, Result};
use super::load;
use super::load::model::{Held, Model};
use super::memory::Memory;
use super::progress::Progress;
use super::read::digest::hex;
use super::read::file::Source;
use super::verbs::{forward, generate, preflight, read_back};

/// The bundled loader. Holds any number of models until they are unloaded.
pub struct ReferenceLoader {
    name: String,
    steps: Box<dyn Steps>,
    gpus: Gpus,
    models: BTreeMap<u64, Model>,
    last: u64,
    progress: Arc<Progress>,
}

impl ReferenceLoader {
    /// The honest loader, holding nothing.
    pub fn new() -> Self {
        ReferenceLoader::with_steps(Box::new(Honest))
    }

    /// A loader whose decisions are made by `steps`.
    pub fn with_steps(steps: Box<dyn Steps>) -> Self {
        ReferenceLoader {
            name: "weighbridge-reference".to_string(),
            steps,
            gpus: Gpus::default(),
            models: BTreeMap::new(),
            last: 0,
            progress: Arc::default(),
        }
    }

    /// The same loader, introduced by another name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Counters of the load under way, to be watched from another thread.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    fn model(&self, handle: u64) -> Result<&Model> {
        self.models.get(&handle).ok_or_else(|| unknown(handle))
    }

    fn load_model(&mut self, request: &Load) -> Result<Loaded> {
        let model = load::load(&mut self.gpus, &*self.steps, request, &self.progress)?;
        let began = Instant::now();
        self.last += 1;
        let unused = model.runnable.as_ref().map(|runnable| runnable.parts.unused.clone());
        let mut loaded = Loaded {
            handle: self.last,
            device: self.steps.claimed_device(model.asked, model.memory.device()),
            file_bytes: model.file_bytes,
            sha256: Some(hex(&model.sha256)),
            held_bytes: model.memory.bytes(),
            tensors: model.tensors.iter().map(Held::entry).collect(),
            metadata: model.metadata.clone(),
            gates: model.gates.clone(),
            transfer: model.transfer.clone(),
            plan: model.plan.map(|plan| self.steps.plan(plan)),
            unused: unused.map(|names| self.steps.unused(names)),
            times: None,
        };
        let mut times = model.times.clone();
        self.models.insert(self.last, model);
        times.register_us += u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        loaded.times = Some(self.steps.times(times));
        Ok(loaded)
    }

    fn export_model(&mut self, handle: u64) -> Result<Exported> {
        let model = self.models.get(&handle).ok_or_else(|| unknown(handle))?;
        let Memory::Device(block) = &model.memory else {
            return Err(LoadError::unsupported(
                Phase::Read,
                "host memory has no CUDA IPC handle: load on a CUDA device to export",
            ));
        };
        if block.is_streamed() {
            return Err(LoadError::unsupported(
                Phase::Read,
                "the model is streamed, so that its layers have no device memory of their own: read it, \
                 or load it where it fits",
            ));
        }
        let mut blocks = Vec::new();
        if let Some(buffer) = block.buffer() {
            let handle_bytes = buffer
                .ipc_handle()
                .map_err(|error| device::fault(block.ordinal(), Phase::Read, &error))?;
            blocks.push(Block {
                ipc: hex(&handle_bytes),
                pointer: self.steps.pointer(handle, buffer.pointer()),
                bytes: block.bytes(),
            });
        }
        let tensors = model
            .tensors
            .iter()
            .map(|tensor| Placement {
                name: tensor.info.name.clone(),
                block: (tensor.bytes > 0).then_some(0),
                offset: tensor.offset,
                bytes: tensor.bytes,
            })
            .collect();
        Ok(Exported { blocks, tensors })
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
            return Err(LoadError::unsupported(
                Phase::Infer,
                "the vendor's BLAS multiplies device memory only: load on a CUDA device",
            ));
        };
        if block.is_streamed() {
            return Err(LoadError::unsupported(
                Phase::Infer,
                "the model is streamed: its matrices do not lie on the device",
            ));
        }
        let product = device::multiply(block, a.offset, b.offset, (m, k, n))?;
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
            return Err(LoadError::unsupported(Phase::Request, "the host has no CUDA streams"));
        };
        self.gpus.context(ordinal)?;
        let mut source = Source::open(&request.path)?;
        let bytes = source.bytes() as usize;
        let fill = |into: &mut [u8]| {
            source.read(into)?;
            source.unchanged()
        };
        let keep = |back: &[u8]| read_back::file(&request.into, |out| out.put(back));
        device::round_trip(&mut self.gpus, ordinal, bytes, request.rounds, fill, keep)
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
            return Err(Failure::new(
                Class::Refused,
                Phase::Request,
                Code::InvalidRequest,
                format!("this loader speaks protocol {PROTOCOL} alone: {PROTOCOL_CHANGES}"),
            )
            .expected(PROTOCOL, request.protocol)
            .remedy(format!("use a judge of that version; {PROTOCOL_GUIDE}")));
        }
        Ok(Introduction {
            protocol: PROTOCOL,
            nonce: request.nonce,
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            capabilities: capabilities(),
        })
    }

    fn load(&mut self, request: Load) -> std::result::Result<Loaded, Failure> {
        Ok(self.load_model(&request)?)
    }

    fn stat(&mut self, _request: Stat) -> std::result::Result<Holdings, Failure> {
        let mut holdings = Holdings { models: self.models.len() as u64, ..Holdings::default() };
        for model in self.models.values() {
            match &model.memory {
                Memory::Host(_) => holdings.host_bytes += model.memory.bytes(),
                Memory::Device(block) => {
                    holdings.device_bytes += block.bytes();
                    holdings.host_bytes += block.home_bytes();
                }
            }
        }
        Ok(holdings)
    }

    fn unload(&mut self, request: Unload) -> std::result::Result<Done, Failure> {
        let model = self.models.remove(&request.handle).ok_or_else(|| unknown(request.handle))?;
        self.steps.release(model.memory);
        Ok(Done {})
    }

    fn device(&mut self, request: DeviceQuery) -> std::result::Result<DeviceInfo, Failure> {
        let found = preflight::describe(&mut self.gpus, &request);
        Ok(self.steps.device_info(&request, found)?)
    }

    fn read(&mut self, request: Read) -> std::result::Result<Written, Failure> {
        Ok(read_back::model(self.model(request.handle)?, &request.into)?)
    }

    fn export(&mut self, request: Export) -> std::result::Result<Exported, Failure> {
        Ok(self.export_model(request.handle)?)
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
        let ReferenceLoader { models, gpus, steps, .. } = self;
        let model = models.get_mut(&request.handle).ok_or_else(|| unknown(request.handle))?;
        Ok(forward::forward(model, gpus, &**steps, &request)?)
    }

    fn validate(&mut self, request: Validate) -> std::result::Result<Validated, Failure> {
        let ReferenceLoader { models, gpus, steps, .. } = self;
        let model = models.get_mut(&request.handle).ok_or_else(|| unknown(request.handle))?;
        Ok(forward::validate(model, gpus, &**steps, &request)?)
    }

    fn generate(&mut self, request: Generate) -> std::result::Result<Generated, Failure> {
        let ReferenceLoader { models, gpus, steps, .. } = self;
        let model = models.get_mut(&request.handle).ok_or_else(|| unknown(request.handle))?;
        Ok(generate::generate(model, gpus, &**steps, &request, &mut |_| ())?)
    }
}

/// What the reference loader can do: all of it. `device.cuda` does not say that this machine has a
/// GPU: without one, a request for it fails with the driver's own error.
pub fn capabilities() -> Capabilities {
    Capability::ALL.into_iter().map(|capability| (capability, Support::yes())).collect()
}

fn matrix(tensor: &Held) -> Result<(usize, usize)> {
    if tensor.dtype != DType::F32 {
        return Err(not_multiplicable(tensor, "F32", &tensor.dtype.name()));
    }
    let sides: Option<Vec<usize>> =
        tensor.info.shape.iter().map(|side| usize::try_from(*side).ok()).collect();
    match sides.as_deref() {
        Some(&[rows, columns]) if rows > 0 && columns > 0 => Ok((rows, columns)),
        _ => Err(not_multiplicable(tensor, "a matrix", &format!("shape {:?}", tensor.info.shape))),
    }
}

fn not_multiplicable(tensor: &Held, expected: &str, actual: &str) -> LoadError {
    LoadError::refused(Phase::Request, Code::InvalidRequest, "tensors cannot be multiplied")
        .tensor(&tensor.info.name)
        .expected(expected, actual)
        .remedy("name two F32 matrices of shapes [m, k] and [k, n]")
}

fn unknown(handle: u64) -> LoadError {
    LoadError::refused(Phase::Request, Code::UnknownHandle, "no loaded model with that handle")
        .expected("the handle of a loaded model", handle)
        .remedy("use a handle that a load returned and that was not unloaded")
}

#[cfg(test)]
mod tests;
