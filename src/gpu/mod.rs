//! The only interface to the CUDA driver, cuBLAS and NVML.
//!
//! No other folder names the bindings. Everything here returns a [`GpuError`] that contains the
//! library's own text. Nothing panics because a library, a symbol or a device is missing. The
//! libraries are opened at run time, so building needs no toolkit and starting needs no GPU.
//!
//! The main type is [`Context`]. Memory is [`DeviceBuffer`] (own) or [`ImportedBuffer`] (another
//! process's). An [`Uploader`] copies bytes to the device, and a [`Downloader`] copies them back.
//!
//! [`Kernels`] compiles the kernels of [`ChunkDigests`], which hashes, of [`TensorScan`], which
//! counts for the data-quality gates, and of [`move_rows`], which moves tensors.
//!
//! Not in this folder: memory pools, and any decision whether a measured value is good enough.

mod decode;
mod driver;
mod forward;
mod math;
mod transfer;

mod kernel;
pub mod nvml;

pub use self::decode::{
    Affine, Decoder, DecoderForms, DecoderKernels, DecoderLayer, Decoding, Extent, HeadShape,
    LinearShape, NO_TOKEN, NormShape, STEPS,
};
pub use self::driver::context::{Context, device_count, device_uuid, driver_version};
pub use self::driver::error::GpuError;
#[cfg(test)]
pub(crate) use self::driver::error::Origin;
pub use self::driver::memory::{DeviceBuffer, DeviceRange, ManagedBuffer};
pub use self::driver::pinned::PinnedBuffer;
pub use self::driver::pointer::{PointerFacts, pointer_facts};
pub use self::driver::stream::{Event, Stream};
pub use self::forward::{
    ActivationParams, AttentionParams, Columns, DeviceWeight, Floats, ForwardKernels, LARGEST_HEAD,
    NormParams, Pool, Precision, Runner, Words, suits_parts,
};
pub use self::kernel::Kernels;
pub use self::kernel::chunk_digests::{ChunkDigests, Launch};
pub use self::kernel::move_rows::{Move, MoveKind, Moves, move_rows};
pub use self::kernel::read_limit::read_limit;
pub use self::kernel::tensor_scan::{Element, ScanTensor, Tally, TensorScan};
pub use self::math::blas::Blas;
pub use self::transfer::copy_limit::{Ballast, CopyLimit, copy_limit, copy_limit_at_once};
pub use self::transfer::download::Downloader;
pub use self::transfer::ipc::ImportedBuffer;
pub use self::transfer::layers::{Layers, Piece, Weights};
pub use self::transfer::pinned_ring::{SLOT_BYTES, SLOTS, Slot, Uploader};
pub use self::transfer::round_trip::RoundTrip;
