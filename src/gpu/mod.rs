//! The CUDA driver, cuBLAS and NVML, behind one door.
//!
//! No other folder names the bindings. Everything here returns a [`GpuError`] that carries the
//! library's own words. Nothing panics because a library, a symbol or a device is missing. The
//! libraries are opened at run time, so building needs no toolkit and starting needs no GPU.
//!
//! The main type is [`Context`]. Memory is [`DeviceBuffer`] (own) or [`ImportedBuffer`] (another
//! process's); bytes go up through an [`Uploader`] and come back through a [`Downloader`].
//!
//! Kernels are compiled by [`Kernels`]: [`ChunkDigests`] hashes, [`TensorScan`] counts what gates
//! ask, [`move_elements`] puts tensors in their place.
//!
//! What is not here: memory pools, and any judgement of what a figure should be.

mod decode;
mod driver;
mod forward;
mod math;
mod transfer;

mod kernel;
pub mod nvml;

pub use self::decode::{
    Affine, Decoder, DecoderForms, DecoderKernels, DecoderLayer, Decoding, Extent, NO_TOKEN, STEPS,
};
pub use self::driver::context::{Context, device_count, device_uuid, driver_version};
pub use self::driver::error::GpuError;
pub use self::driver::memory::{DeviceBuffer, DeviceRange, ManagedBuffer};
pub use self::driver::pinned::PinnedBuffer;
pub use self::driver::pointer::{PointerFacts, pointer_facts};
pub use self::driver::stream::{Event, Stream};
pub use self::forward::{
    ActivationParams, AttentionParams, Columns, DeviceWeight, Floats, ForwardKernels, NormParams,
    Pool, Runner, Words,
};
pub use self::kernel::Kernels;
pub use self::kernel::chunk_digests::{ChunkDigests, Launch};
pub use self::kernel::move_elements::{Move, MoveKind, move_elements};
pub use self::kernel::read_limit::read_limit;
pub use self::kernel::tensor_scan::{Element, ScanTensor, Tally, TensorScan};
pub use self::math::blas::Blas;
pub use self::transfer::copy_limit::{Ballast, CopyLimit, copy_limit};
pub use self::transfer::download::Downloader;
pub use self::transfer::ipc::ImportedBuffer;
pub use self::transfer::layers::{Layers, Piece, Weights};
pub use self::transfer::pinned_ring::{SLOT_BYTES, SLOTS, Slot, Uploader};
pub use self::transfer::round_trip::RoundTrip;
