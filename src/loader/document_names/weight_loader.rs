//! `WeightLoader` and its result types, as named in the documents of the warm loader.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::contract::DType;
use crate::contract::reply::Gate;

use super::safetensors_cuda::SafeTensorsCudaLoader;
use super::storage::{self, GpuTensor};
use crate::loader::error::Result;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::gates::{Scan, judge};
use crate::loader::memory::Memory;
use crate::loader::read::digest;

/// Loads model weights from disk to a GPU.
pub trait WeightLoader: Send + Sync {
    /// Loads, verifies and admits a file. Without an expected digest, the computed one is only
    /// reported.
    ///
    /// # Errors
    /// Those of [`load`](crate::loader::load::load).
    fn load_weights(
        &self,
        model_id: &str,
        weight_path: &Path,
        expected_checksum: Option<&[u8; 32]>,
        device_id: u32,
    ) -> Result<LoadedModelWeights>;

    /// SHA-256 of a file's bytes.
    ///
    /// # Errors
    /// Those of opening and reading it.
    fn compute_checksum(&self, path: &Path) -> Result<[u8; 32]>;

    /// Checks that weights hold neither NaN nor infinity. Tensors are checked in name order.
    ///
    /// # Errors
    /// `non_finite`, with the tensor.
    fn validate_weights(&self, tensors: &HashMap<String, Vec<f32>>) -> Result<()>;
}

/// The reference implementation, for safetensors files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SafeTensorsWeightLoader;

impl SafeTensorsWeightLoader {
    /// Creates a loader. Each load opens its device.
    pub fn new() -> Self {
        SafeTensorsWeightLoader
    }
}

impl WeightLoader for SafeTensorsWeightLoader {
    fn load_weights(
        &self,
        model_id: &str,
        weight_path: &Path,
        expected_checksum: Option<&[u8; 32]>,
        device_id: u32,
    ) -> Result<LoadedModelWeights> {
        LoadedModelWeights::load(model_id, weight_path, expected_checksum, device_id)
    }

    fn compute_checksum(&self, path: &Path) -> Result<[u8; 32]> {
        digest::of_file(path)
    }

    fn validate_weights(&self, tensors: &HashMap<String, Vec<f32>>) -> Result<()> {
        let sorted: BTreeMap<&String, &Vec<f32>> = tensors.iter().collect();
        for (name, values) in sorted {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let tensor = TensorInfo {
                name: name.clone(),
                dtype: DType::F32,
                shape: vec![values.len() as u64],
                begin: 0,
                end: bytes.len() as u64,
            };
            let mut scan = Scan::new(&tensor);
            scan.feed(&bytes);
            judge(Gate::NonFinite, &tensor, &scan)?;
        }
        Ok(())
    }
}

/// The result of a warm load.
#[derive(Clone, Debug, PartialEq)]
pub struct WarmLoadResult {
    /// The device address of the weights; `None` for a model without bytes.
    pub gpu_ptr: Option<u64>,
    /// SHA-256 of the bytes that were used.
    pub checksum: [u8; 32],
    /// Device memory held, in bytes.
    pub size_bytes: u64,
    /// How long the load took.
    pub load_duration: Duration,
    /// Shapes and dtypes from the header.
    pub tensor_metadata: TensorMetadata,
}

/// The tensors that a file's header declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TensorMetadata {
    /// Shape of each tensor, outermost dimension first.
    pub shapes: BTreeMap<String, Vec<u64>>,
    /// Element type of each tensor; a file may mix them.
    pub dtypes: BTreeMap<String, DType>,
    /// Total number of elements of all tensors.
    pub total_params: u64,
}

impl TensorMetadata {
    fn of(tensors: &[PlacedTensor]) -> Self {
        let mut metadata = TensorMetadata::default();
        for PlacedTensor { info, dtype, .. } in tensors {
            metadata.shapes.insert(info.name.clone(), info.shape.clone());
            metadata.dtypes.insert(info.name.clone(), *dtype);
            metadata.total_params += info.elements().unwrap_or(0);
        }
        metadata
    }
}

/// A model's weights on a GPU: verified, admitted, freed on drop.
#[derive(Debug)]
pub struct LoadedModelWeights {
    /// The caller's name for the model.
    pub model_id: String,
    /// The tensors by their names in the file.
    pub tensors: HashMap<String, GpuTensor>,
    /// SHA-256 of the bytes that were used.
    pub file_checksum: [u8; 32],
    /// Device memory held, in bytes.
    pub total_gpu_bytes: u64,
    /// Ordinal of the device.
    pub device_id: u32,
    /// When the load ended.
    pub loaded_at: Instant,
    /// The result of the load.
    pub result: WarmLoadResult,
}

impl LoadedModelWeights {
    /// Loads, verifies and admits a file.
    ///
    /// # Errors
    /// Those of [`load`](crate::loader::load::load).
    pub fn load(
        model_id: &str,
        weight_path: &Path,
        expected_checksum: Option<&[u8; 32]>,
        device_id: u32,
    ) -> Result<Self> {
        let loader = SafeTensorsCudaLoader::new(device_id)?;
        let model = loader.model(weight_path, expected_checksum, true)?;
        let gpu_ptr = match &model.memory {
            Memory::Device(block) => block.buffer().map(|buffer| buffer.pointer()),
            Memory::Host(_) | Memory::Divided(_) => None,
        };
        let result = WarmLoadResult {
            gpu_ptr,
            checksum: model.sha256,
            size_bytes: model.memory.bytes(),
            load_duration: model.duration,
            tensor_metadata: TensorMetadata::of(&model.tensors),
        };
        Ok(LoadedModelWeights {
            model_id: model_id.to_string(),
            file_checksum: result.checksum,
            total_gpu_bytes: result.size_bytes,
            tensors: storage::tensors(model)?.into_iter().collect(),
            device_id,
            loaded_at: Instant::now(),
            result,
        })
    }

    /// A tensor by its name in the file.
    pub fn get_tensor(&self, name: &str) -> Option<&GpuTensor> {
        self.tensors.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;
    use std::io::Write;

    #[test]
    fn checksums_are_those_of_the_bytes() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"abc").unwrap();
        let digest = SafeTensorsWeightLoader::new().compute_checksum(file.path()).unwrap();
        // The example of FIPS 180-4.
        assert_eq!(
            digest::hex(&digest),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let missing = SafeTensorsWeightLoader.compute_checksum(Path::new("/nonexistent"));
        assert_eq!(missing.unwrap_err().code(), Code::NotFound);
    }

    #[test]
    fn validation_names_the_first_bad_tensor() {
        let tensors = |bad: f32| {
            HashMap::from([
                ("b".to_string(), vec![1.0, bad]),
                ("a".to_string(), vec![0.0, 0.0]),
                ("c".to_string(), vec![bad]),
            ])
        };
        let loader = SafeTensorsWeightLoader::new();
        assert!(loader.validate_weights(&tensors(1.0)).is_ok());
        for bad in [f32::NAN, f32::INFINITY] {
            let error = loader.validate_weights(&tensors(bad)).unwrap_err();
            assert_eq!(error.failure().tensor.as_deref(), Some("b"));
            assert!(error.to_string().starts_with("[EMB-E007] CORRUPTED_WEIGHT"));
        }
    }

    #[test]
    fn the_metadata_is_that_of_all_tensors() {
        let (tensors, _) = crate::loader::infer::tests::projection().placed();
        let metadata = TensorMetadata::of(&tensors);
        assert_eq!(metadata.total_params, 4 * 6 + 4);
        assert_eq!(metadata.shapes["linear.weight"], [4, 6]);
        assert_eq!(metadata.dtypes["linear.bias"], DType::F32);
        assert_eq!((metadata.shapes.len(), metadata.dtypes.len()), (2, 2));
    }

    #[test]
    fn weights_are_loaded_to_a_device_or_not_at_all() {
        if crate::gpu::device_count().is_err() {
            let path = Path::new("/nonexistent");
            let error = SafeTensorsWeightLoader.load_weights("m", path, None, 0);
            assert_eq!(error.unwrap_err().code(), Code::CudaUnavailable, "before the file");
        }
    }
}
