//! Mutants of devices and device memory.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::between::{Answer, Between};
use crate::contract::reply::{DeviceInfo, Exported, Reply};
use crate::contract::request::{DeviceQuery, Request};
use crate::contract::{Device, Loader, Phase};
use crate::loader::device;
use crate::loader::error::Result;
use crate::loader::memory::Memory;
use crate::loader::read::digest;
use crate::loader::{LoadDecisions, ReferenceLoader};

/// Describes an invented card when the driver reports none.
pub struct Stub;

impl LoadDecisions for Stub {
    fn device_info(&self, query: &DeviceQuery, found: Result<DeviceInfo>) -> Result<DeviceInfo> {
        found.or_else(|error| match query.device {
            Device::Cpu => Err(error),
            Device::Cuda(_) => Ok(DeviceInfo {
                device: query.device,
                name: "Simulated RTX 5090".to_owned(),
                compute_capability: Some((12, 0)),
                total_bytes: 32 << 30,
                free_bytes: 32 << 30,
                uuid: None,
                count: 1,
            }),
        })
    }

    fn device(&self, asked: Device, opened: Result<()>) -> Result<Device> {
        Ok(if opened.is_ok() { asked } else { Device::Cpu })
    }

    fn claimed_device(&self, asked: Device, _real: Device) -> Device {
        asked
    }
}

/// Loads into host memory and reports the requested GPU.
pub struct SilentCpu;

impl LoadDecisions for SilentCpu {
    fn device(&self, _asked: Device, _opened: Result<()>) -> Result<Device> {
        Ok(Device::Cpu)
    }

    fn claimed_device(&self, asked: Device, _real: Device) -> Device {
        asked
    }
}

/// Loads onto GPU 0 when the CPU is requested, and reports the CPU.
pub struct SilentGpu;

impl LoadDecisions for SilentGpu {
    fn device(&self, asked: Device, opened: Result<()>) -> Result<Device> {
        opened.map(|()| if asked == Device::Cpu { Device::Cuda(0) } else { asked })
    }

    fn claimed_device(&self, asked: Device, _real: Device) -> Device {
        asked
    }
}

/// Never frees a model's memory.
pub struct Leak;

impl LoadDecisions for Leak {
    fn release(&self, memory: Memory) {
        std::mem::forget(memory);
    }
}

/// Flips one bit in device memory after verification.
pub struct Corrupted;

impl LoadDecisions for Corrupted {
    fn settle(&self, memory: &Memory) -> Result<()> {
        let Memory::Device(block) = memory else { return Ok(()) };
        let Some(buffer) = block.buffer() else { return Ok(()) };
        // Use the last byte: bytes between tensors belong to no tensor.
        let at = buffer.bytes() - 1;
        let mut byte = [0];
        memory.read(at as u64, &mut byte)?;
        byte[0] ^= 4;
        let written = buffer.write(at, &byte);
        written.map_err(|error| device::fault(block.ordinal(), Phase::Copy, &error))
    }
}

/// Bytes per second of a slow copy, as with pageable memory and a wait after each piece.
const SLOW: f64 = 2e9;

/// Delays loads and streams to the rate `SLOW`.
pub struct SlowCopy;

impl Between for SlowCopy {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let copied = match &request {
            Request::Load(load) if load.device.is_gpu() => size(&load.path),
            // Each round copies to the device and back.
            Request::Stream(stream) => size(&stream.path) * 2.0 * f64::from(stream.rounds),
            _ => 0.0,
        };
        let start = Instant::now();
        let reply = loader.answer(request);
        let wanted = Duration::from_secs_f64(copied / SLOW);
        thread::sleep(wanted.saturating_sub(start.elapsed()));
        reply
    }
}

fn size(path: &Path) -> f64 {
    std::fs::metadata(path).map_or(0.0, |metadata| metadata.len() as f64)
}

/// The first invented address.
const BASE: u64 = 0x7f80_0000_0000;

/// Exports invented pointers with matching IPC handles.
pub struct FakePointer;

impl Between for FakePointer {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let handle = if let Request::Export(export) = &request { export.handle } else { 0 };
        let mut reply = loader.answer(request)?;
        if let Reply::Export(Exported { blocks, .. }) = &mut reply {
            for block in blocks {
                block.pointer = BASE + (handle << 32);
                block.ipc = format!("{:0>128x}", block.pointer);
            }
        }
        Ok(reply)
    }
}

/// Flips the last bit of a stream's output file, and reports the digest of the changed file.
pub struct StreamTorn;

impl Between for StreamTorn {
    fn answer(&mut self, loader: &mut ReferenceLoader, request: Request) -> Answer {
        let into =
            if let Request::Stream(stream) = &request { Some(stream.into.clone()) } else { None };
        let mut reply = loader.answer(request)?;
        if let (Reply::Stream(written), Some(into)) = (&mut reply, into) {
            // If the file cannot be changed, no lie is told: the mutant survives, and the audit
            // fails.
            let mut bytes = std::fs::read(&into).unwrap_or_default();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            let _ = std::fs::write(&into, &bytes);
            written.sha256 = digest::hex(&Sha256::digest(&bytes));
        }
        Ok(reply)
    }
}
