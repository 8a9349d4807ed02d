//! Tensors on a CUDA device, under the names of the source documents.
//!
//! A [`CudaStorage`] is a typed range of a model's arena. The arena is freed when its last range is
//! dropped. A [`GpuTensor`] is such a range with a shape.

use std::sync::Arc;

use crate::contract::{DType, Device, Phase};

use crate::loader::device::Gpus;
use crate::loader::error::{LoadError, Result};
use crate::loader::format::safetensors::layout::HELD;
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::host_memory::host_bytes;
use crate::loader::load::model::Model;
use crate::loader::memory::Memory;
use crate::loader::memory::block::Block;
use crate::loader::remedies::request::{STORAGE_BYTES, STORAGE_TYPE};

/// Elements of one type in device memory.
#[derive(Clone, Debug)]
pub struct CudaStorage {
    block: Arc<Block>,
    offset: u64,
    bytes: u64,
    dtype: DType,
}

impl CudaStorage {
    /// Copies elements of type `dtype` (F16, BF16 or F32, little-endian) to a device.
    ///
    /// # Errors
    /// `cuda_unavailable`, `invalid_device`, `out_of_device_memory`, `device_fault`;
    /// `unsupported_dtype`; `size_mismatch` if `data` does not hold whole elements.
    pub fn from_bytes(data: &[u8], dtype: DType, device_id: u32) -> Result<Self> {
        if !HELD.contains(&dtype) {
            let message = format!("dtype not held: {dtype}");
            return Err(LoadError::refused(Phase::Request, STORAGE_TYPE, message)
                .dtype(dtype)
                .expected("F16, BF16 or F32", dtype));
        }
        let bytes = data.len() as u64;
        if !(bytes * 8).is_multiple_of(dtype.bits()) {
            let width = (dtype.bits() / 8).to_string();
            let cause = STORAGE_BYTES.about([&width]);
            return Err(LoadError::refused(Phase::Request, cause, "bytes are not whole elements")
                .dtype(dtype)
                .expected(format!("a multiple of {width} bytes"), bytes));
        }
        let block = Arc::new(Block::from_bytes(&mut Gpus::default(), device_id, data)?);
        Ok(CudaStorage { block, offset: 0, bytes, dtype })
    }

    /// Copies F32 values to a device.
    ///
    /// # Errors
    /// Those of [`from_bytes`](Self::from_bytes).
    pub fn from_slice(data: &[f32], device_id: u32) -> Result<Self> {
        let bytes: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        CudaStorage::from_bytes(&bytes, DType::F32, device_id)
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The device that holds it.
    pub fn device(&self) -> Device {
        Device::Cuda(self.block.ordinal())
    }

    /// Its size, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.bytes * 8 / self.dtype.bits()
    }

    /// The device address of the first element; `None` for a tensor without elements.
    pub fn device_pointer(&self) -> Option<u64> {
        let buffer = self.block.buffer().filter(|_| self.bytes > 0)?;
        Some(buffer.pointer() + self.offset)
    }

    /// Copies the elements back, little-endian.
    ///
    /// # Errors
    /// `device_fault`, `out_of_host_memory`.
    pub fn to_host(&self) -> Result<Vec<u8>> {
        let mut bytes = host_bytes(self.bytes)?;
        self.block.read(self.offset, &mut bytes)?;
        Ok(bytes)
    }
}

/// A shaped tensor on a CUDA device.
#[derive(Clone, Debug)]
pub struct GpuTensor {
    storage: CudaStorage,
    shape: Vec<u64>,
}

impl GpuTensor {
    /// Its elements.
    pub fn storage(&self) -> &CudaStorage {
        &self.storage
    }

    /// Its shape, outermost dimension first.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Number of elements.
    pub fn numel(&self) -> u64 {
        self.storage.elements()
    }

    /// Its element type.
    pub fn dtype(&self) -> DType {
        self.storage.dtype()
    }

    /// Ordinal of the device that holds it.
    pub fn device_id(&self) -> u32 {
        self.storage.block.ordinal()
    }

    /// The device address of the first element; `None` for a tensor without elements.
    pub fn as_device_ptr(&self) -> Option<u64> {
        self.storage.device_pointer()
    }
}

/// Splits a model on a device into its tensors, in the header's order.
///
/// # Errors
/// `internal` for a model in host memory.
pub(crate) fn tensors(model: Model) -> Result<Vec<(String, GpuTensor)>> {
    let Memory::Device(block) = model.memory else {
        return Err(LoadError::internal("asked for a device, got host memory"));
    };
    let block = Arc::new(block);
    let tensors =
        model.tensors.into_iter().map(|PlacedTensor { info, dtype, offset, bytes, .. }| {
            let storage = CudaStorage { block: Arc::clone(&block), offset, bytes, dtype };
            (info.name, GpuTensor { storage, shape: info.shape })
        });
    Ok(tensors.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;
    use crate::loader::decisions::Honest;
    use crate::loader::load::load;
    use crate::loader::load::tests::{file_of, request};
    use crate::loader::memory::block;
    use crate::loader::progress::Progress;

    #[test]
    fn refuses_before_asking_for_a_device() {
        let code = |data: &[u8], dtype| {
            CudaStorage::from_bytes(data, dtype, 0).map(drop).map_err(|error| error.code())
        };
        assert_eq!(code(&[0; 8], DType::F64), Err(Code::UnsupportedDtype));
        assert_eq!(code(&[0; 7], DType::F32), Err(Code::SizeMismatch));
        assert_eq!(code(&[0; 3], DType::BF16), Err(Code::SizeMismatch));
    }

    #[test]
    fn says_where_there_is_no_device() {
        if crate::gpu::device_count().is_err() {
            let error = CudaStorage::from_slice(&[1.0], 0).unwrap_err();
            assert_eq!(error.code(), Code::CudaUnavailable);
        }
    }

    /// A model whose tensors have no elements, on a device.
    fn empty_on(ordinal: u32) -> Model {
        let file = file_of(&[("b", "F16", &[0, 2], &[]), ("a", "F32", &[3, 0], &[])]);
        let (gpus, progress) = (&mut Gpus::default(), Progress::default());
        let mut model = load(gpus, &Honest, &request(file.path()), &progress).expect("loads");
        model.memory = Memory::Device(block::tests::empty(ordinal));
        model
    }

    #[test]
    fn a_model_on_a_device_is_split_into_its_tensors() {
        let split = tensors(empty_on(5)).expect("it is on a device");
        let names: Vec<&str> = split.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["b", "a"], "in the order of the header");
        let (tensor, storage) = (&split[0].1, split[0].1.storage());
        assert_eq!((tensor.shape(), tensor.numel(), tensor.dtype()), (&[0, 2][..], 0, DType::F16));
        assert_eq!((tensor.device_id(), tensor.as_device_ptr()), (5, None));
        assert_eq!((storage.device(), storage.bytes()), (Device::Cuda(5), 0));
        assert_eq!((storage.elements(), storage.to_host()), (0, Ok(Vec::new())));
        let storage = CudaStorage { bytes: 6, ..storage.clone() };
        assert_eq!(storage.elements(), 3, "two bytes each");
        assert_eq!(storage.to_host().map_err(|error| error.code()), Err(Code::Internal));
        let mut on_host = empty_on(5);
        on_host.memory = Memory::Host(Vec::new());
        let error = tensors(on_host).expect_err("it is on the host");
        assert_eq!(error.failure().message, "asked for a device, got host memory");
    }
}
