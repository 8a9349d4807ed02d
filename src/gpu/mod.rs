//! The CUDA driver, cuBLAS and NVML, behind one door.
//!
//! No other folder names the bindings. Everything here returns a [`GpuError`] that carries the
//! library's own words; nothing panics because a library, a symbol or a device is missing, and a
//! build without the `cuda` feature has the same face, with types that can have no value. The
//! libraries are opened at run time, so building needs no toolkit and starting needs no GPU.
//!
//! The main type is [`Context`]. Memory is [`DeviceBuffer`] (own) or [`ImportedBuffer`] (another
//! process's); bytes go up through an [`Uploader`] and come back through a [`Downloader`].
//!
//! Kernels are compiled by [`Kernels`]: [`ChunkDigests`] hashes, [`TensorScan`] counts what gates
//! ask, [`move_elements`] puts tensors in their place.
//!
//! What is not here: memory pools, and any judgement of what a figure should be.
#![cfg_attr(
    not(feature = "cuda"),
    allow(unreachable_code, unused_variables, reason = "without CUDA no context can exist")
)]

#[cfg(not(feature = "cuda"))]
mod absent;
mod blas;
mod calls;
mod chunk_digests;
mod compile;
mod context;
mod decoder;
mod download;
mod encoder;
mod error;
mod graph;
mod ipc;
mod kept;
mod kernel;
mod layers;
#[cfg(feature = "cuda")]
mod library;
mod limits;
mod memory;
mod moves;
pub mod nvml;
#[cfg(feature = "cuda")]
mod nvml_session;
mod pinned;
mod pointer;
mod products;
mod read_limit;
mod ring;
mod round_trip;
mod stream;
mod tensor_scan;

pub use blas::Blas;
pub use chunk_digests::{ChunkDigests, Launch};
pub use context::{Context, device_count, device_uuid, driver_version};
pub use decoder::{
    Affine, Decoder, DecoderForms, DecoderKernels, DecoderLayer, Decoding, Extent, NO_TOKEN, STEPS,
};
pub use download::Downloader;
pub use encoder::{
    Activated, Attending, Columns, EncoderKernels, Floats, Normed, Pooled, Runner, Stored, Words,
};
pub use error::GpuError;
pub use ipc::ImportedBuffer;
pub use kernel::Kernels;
pub use layers::{Layers, Piece, Weights};
pub use limits::{Ballast, CopyLimit, copy_limit};
pub use memory::{DeviceBuffer, DeviceRange, ManagedBuffer};
pub use moves::{Move, MoveKind, move_elements};
pub use pinned::PinnedBuffer;
pub use pointer::{PointerFacts, pointer_facts};
pub use read_limit::read_limit;
pub use ring::{SLOT_BYTES, SLOTS, Slot, Uploader};
pub use round_trip::RoundTrip;
pub use stream::{Event, Stream};
pub use tensor_scan::{Element, ScanTensor, Tally, TensorScan};
