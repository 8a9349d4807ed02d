//! Checks that a set of models fits before the first byte is copied. It reads every header, checks
//! every configuration against its tensors, and compares the total memory with the device's free
//! memory.

use serde::Serialize;

use crate::contract::request::{DeviceQuery, HardwareProfile};
use crate::contract::{Class, Device, Phase};
use crate::loader::decisions::Honest;
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::host_memory::host_available;
use crate::loader::infer::Search;
use crate::loader::open::files::Files;
use crate::loader::remedies::device_and_memory::SET_DOES_NOT_FIT;
use crate::loader::remedies::registry::REGISTRY_DTYPE;
use crate::loader::verbs::preflight;

use super::registry::Models;

/// Divisor for device memory left free for activations, kernels and the driver: 1/20 of the models'
/// size, plus [`HEADROOM`].
const HEADROOM_SHARE: u64 = 20;

/// Constant part of the device memory left free, in bytes.
const HEADROOM: u64 = 512 << 20;

/// The memory that a set needs, and the memory that the device has.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The device.
    pub device: String,
    /// The device's name.
    pub device_name: String,
    /// Free memory on the device, in bytes.
    pub free_bytes: u64,
    /// Memory of all models, in bytes.
    pub model_bytes: u64,
    /// Memory to be left free, in bytes.
    pub headroom_bytes: u64,
    /// The models, largest first.
    pub order: Vec<Planned>,
}

/// One model of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// Its id.
    pub id: String,
    /// Its index in the registry.
    #[serde(skip)]
    pub at: usize,
    /// Size of its weight files, in bytes.
    pub file_bytes: u64,
    /// Memory that it needs, in bytes.
    pub bytes: u64,
    /// Whether its chunks are compared with a seal. Otherwise the digests of its files are compared.
    pub sealed: bool,
}

impl Plan {
    /// Queries the device, reads every header and configuration, and compares the sizes. Allocates
    /// no device memory.
    ///
    /// # Errors
    /// Errors of headers, indices and configurations, with the model's id; errors of the device;
    /// `vram_insufficient` with the needed and the available bytes.
    pub fn make(
        models: &Models,
        device: Device,
        profile: Option<HardwareProfile>,
        gpus: &mut Gpus,
    ) -> Result<Plan> {
        // Query the device first: a missing GPU must be reported as such, not as a missing file.
        let query = DeviceQuery { device, profile };
        let info = preflight::describe(gpus, &query)?;
        let mut order = Vec::new();
        for (at, model) in models.all.iter().enumerate() {
            let request = models.request(model, device)?;
            let planned = || {
                let runs = request.inference.is_some();
                let (path, format) = (&request.path, request.format);
                let files = Files::open(path, format, &Honest, request.keep, runs)?;
                if let Some(inference) = &request.inference {
                    let tensors = files.tensors();
                    let documents = files.documents();
                    Search { inference, documents, tensors: &tensors }.find()?;
                    if let Some(other) =
                        tensors.iter().find(|t| t.dtype.bits() < 64 && t.dtype != model.dtype)
                    {
                        let message = "the weights have another type than the registry says";
                        return Err(LoadError::header(REGISTRY_DTYPE, message)
                            .tensor(&other.info.name)
                            .expected(model.dtype, other.dtype));
                    }
                }
                Ok((files.bytes(), files.arena_bytes()))
            };
            let (file_bytes, bytes) =
                planned().map_err(|error: LoadError| error.path(&request.path))?;
            let (id, sealed) = (model.id.clone(), model.seal.is_some());
            order.push(Planned { id, at, file_bytes, bytes, sealed });
        }
        order.sort_by_key(|planned| std::cmp::Reverse(planned.bytes));
        let model_bytes: u64 = order.iter().map(|planned| planned.bytes).sum();
        let headroom_bytes =
            if device.is_gpu() { model_bytes / HEADROOM_SHARE + HEADROOM } else { 0 };
        let free_bytes = match device {
            Device::Cpu => host_available().unwrap_or(u64::MAX),
            Device::Cuda(_) => info.free_bytes,
        };
        let plan = Plan {
            device: device.to_string(),
            device_name: info.name,
            free_bytes,
            model_bytes,
            headroom_bytes,
            order,
        };
        plan.check()?;
        Ok(plan)
    }

    /// What the models are compared with: `sealed`, `strict`, or `sealed and strict`.
    pub fn mode(&self) -> &'static str {
        match self.order.iter().filter(|planned| planned.sealed).count() {
            0 => "strict",
            sealed if sealed == self.order.len() => "sealed",
            _ => "sealed and strict",
        }
    }

    fn check(&self) -> Result<()> {
        let needed = self.model_bytes.saturating_add(self.headroom_bytes);
        if needed <= self.free_bytes {
            return Ok(());
        }
        let largest: Vec<String> = self
            .order
            .iter()
            .take(3)
            .map(|planned| format!("{} {} bytes", planned.id, planned.bytes))
            .collect();
        Err(LoadError::new(
            Class::Resource,
            Phase::Preflight,
            SET_DOES_NOT_FIT.about([&self.device]),
            format!(
                "{} models do not fit on {}: {} bytes and {} bytes of headroom; the largest: {}",
                self.order.len(),
                self.device,
                self.model_bytes,
                self.headroom_bytes,
                largest.join(", ")
            ),
        )
        .expected(format!("at least {needed} free bytes"), format!("{} bytes", self.free_bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    #[test]
    fn a_set_that_does_not_fit_is_refused_with_both_figures() {
        let planned = |id: &str, bytes| Planned {
            id: id.into(),
            at: 0,
            file_bytes: bytes,
            bytes,
            sealed: false,
        };
        let mut plan = Plan {
            device: "cuda:0".into(),
            device_name: "a card".into(),
            free_bytes: 1600,
            model_bytes: 1500,
            headroom_bytes: 100,
            order: vec![planned("large", 1400), planned("small", 100)],
        };
        assert!(plan.check().is_ok());
        plan.free_bytes = 1599;
        let error = plan.check().unwrap_err();
        assert_eq!(error.code(), Code::VramInsufficient);
        let text = error.to_string();
        for part in ["[EMB-E003]", "large 1400 bytes", "1600 free bytes", "1599 bytes", "remedy"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
