//! `SafeTensorsCudaLoader` and `SafeTensorsCudaModel`: the checklist's names for the load path.
//!
//! The loader copies tensors bit by bit, NaN included, and runs no gates. The model runs the
//! data-quality gates first; if a gate refuses, no model is made.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::contract::request::{DtypePolicy, Format, Load};
use crate::contract::{Device, Phase};

use super::storage::{self, CudaStorage, GpuTensor};
use crate::loader::decisions::Honest;
use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::load;
use crate::loader::load::model::Model;
use crate::loader::progress::Progress;
use crate::loader::read::digest;
use crate::loader::remedies::request::LIBRARY_GENERATE;

/// Loads files to one CUDA device.
#[derive(Debug)]
pub struct SafeTensorsCudaLoader {
    device_id: u32,
    gpus: Mutex<Gpus>,
}

impl SafeTensorsCudaLoader {
    /// Opens a device.
    ///
    /// # Errors
    /// `cuda_unavailable`, `invalid_device`.
    pub fn new(device_id: u32) -> Result<Self> {
        let mut gpus = Gpus::default();
        gpus.context(device_id)?;
        Ok(SafeTensorsCudaLoader { device_id, gpus: Mutex::new(gpus) })
    }

    /// Loads a file's tensors as stored.
    ///
    /// # Errors
    /// Those of [`load::load`], except refusals by the gates.
    pub fn load(&self, path: &Path) -> Result<HashMap<String, CudaStorage>> {
        let tensors = storage::tensors(self.model(path, None, false)?)?;
        Ok(tensors.into_iter().map(|(name, tensor)| (name, tensor.storage().clone())).collect())
    }

    /// The device that files are loaded to.
    pub fn device(&self) -> Device {
        Device::Cuda(self.device_id)
    }

    pub(crate) fn model(
        &self,
        path: &Path,
        expected: Option<&[u8; 32]>,
        admit: bool,
    ) -> Result<Model> {
        let request = Load {
            path: path.to_path_buf(),
            format: Format::Safetensors,
            device: self.device(),
            keep: DtypePolicy::Stored,
            expect_sha256: expected.map(|digest| digest::hex(digest)),
            seal: None,
            admit,
            parallel: None,
            inference: None,
        };
        // A panic in another thread leaves the device cache valid: an entry is added in one step.
        let mut gpus = self.gpus.lock().unwrap_or_else(PoisonError::into_inner);
        load::load(&mut gpus, &Honest, &request, &Progress::default())
    }
}

/// A model on a CUDA device: admitted weights without an inference engine.
#[derive(Debug)]
pub struct SafeTensorsCudaModel {
    tensors: HashMap<String, GpuTensor>,
    sha256: [u8; 32],
}

impl SafeTensorsCudaModel {
    /// Loads and admits a file.
    ///
    /// # Errors
    /// Those of [`load::load`].
    pub fn from_safetensors(path: &Path, device_id: u32) -> Result<Self> {
        let model = SafeTensorsCudaLoader::new(device_id)?.model(path, None, true)?;
        let sha256 = model.sha256;
        Ok(SafeTensorsCudaModel { tensors: storage::tensors(model)?.into_iter().collect(), sha256 })
    }

    /// Finds a tensor by its name in the file.
    pub fn tensor(&self, name: &str) -> Option<&GpuTensor> {
        self.tensors.get(name)
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether the model has no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// SHA-256 of the file that was loaded.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Generates up to `max_tokens` tokens after `input_ids`, until `eos_id`.
    ///
    /// # Errors
    /// `unsupported_capability`, always: this type has no inference engine.
    pub fn generate(
        &mut self,
        input_ids: &[u32],
        max_tokens: usize,
        eos_id: u32,
    ) -> Result<Vec<u32>> {
        Err(LoadError::unsupported(
            Phase::Infer,
            LIBRARY_GENERATE,
            format!(
                "no inference engine: {} input tokens, up to {max_tokens} asked for, end at {eos_id}",
                input_ids.len()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Class, Code};
    use crate::loader::load::tests::{F32_ONES, file_of, request};
    use crate::loader::memory::block::tests::empty;

    #[test]
    fn generation_is_refused_not_made_up() {
        let mut model = SafeTensorsCudaModel { tensors: HashMap::new(), sha256: [0; 32] };
        let error = model.generate(&[1, 2], 8, 0).unwrap_err();
        assert_eq!(
            (error.class(), error.code()),
            (Class::Unsupported, Code::UnsupportedCapability)
        );
        assert!(model.is_empty());
    }

    #[test]
    fn no_device_is_an_error_with_the_drivers_words() {
        if crate::gpu::device_count().is_err() {
            let error = SafeTensorsCudaLoader::new(0).unwrap_err();
            assert_eq!(error.code(), Code::CudaUnavailable);
            assert!(error.failure().actual.as_deref().is_some_and(|words| words.len() > 10));
        }
    }

    #[test]
    fn a_file_is_loaded_to_the_loaders_device_or_not_at_all() {
        if crate::gpu::device_count().is_ok_and(|count| count > 0) {
            return; // Device tests cover a machine that has one.
        }
        let file = file_of(&[("w", "F32", &[3], &F32_ONES)]);
        let loader = SafeTensorsCudaLoader { device_id: 7, gpus: Mutex::default() };
        assert_eq!(loader.device(), Device::Cuda(7));
        let error = loader.load(file.path()).expect_err("no device");
        assert_eq!((error.code(), error.failure().path.as_deref()), (Code::CudaUnavailable, None));
        let digest = Some(&[0; 32]);
        let error = loader.model(file.path(), digest, true).expect_err("no device");
        assert_eq!(error.code(), Code::CudaUnavailable, "before the digest");
        let error = SafeTensorsCudaModel::from_safetensors(file.path(), 7).expect_err("no device");
        assert_eq!(error.code(), Code::CudaUnavailable);
    }

    #[test]
    fn a_model_gives_its_tensors_by_name() {
        let file = file_of(&[("e", "F16", &[0, 2], &[]), ("f", "F32", &[0], &[])]);
        let (gpus, progress) = (&mut Gpus::default(), Progress::default());
        let mut loaded =
            load::load(gpus, &Honest, &request(file.path()), &progress).expect("loads");
        loaded.memory = crate::loader::memory::Memory::Device(empty(2));
        let sha256 = loaded.sha256;
        let tensors = storage::tensors(loaded).expect("on a device").into_iter().collect();
        let model = SafeTensorsCudaModel { tensors, sha256 };
        assert_eq!((model.len(), model.is_empty(), model.sha256()), (2, false, &sha256));
        let tensor = model.tensor("e").expect("a tensor of the file");
        assert_eq!((tensor.shape(), tensor.device_id()), (&[0, 2][..], 2));
        assert!(model.tensor("g").is_none());
    }
}
