//! Lies about devices and their memory.

use crate::contract::reply::{DeviceInfo, Done, Exported, Holdings, Introduction, Loaded, Written};
use crate::contract::request::{
    DeviceQuery, Export, Hello, Load, Multiply, Read, Stat, Stream, Synchronize, Unload,
};
use crate::contract::{Device, Failure, Loader};
use crate::loader::error::Result;
use crate::loader::memory::Memory;
use crate::loader::{ReferenceLoader, Steps};

/// A card out of a brochure where the driver has none.
pub struct Stub;

impl Steps for Stub {
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

/// Host memory under a GPU's label.
pub struct SilentCpu;

impl Steps for SilentCpu {
    fn device(&self, _asked: Device, _opened: Result<()>) -> Result<Device> {
        Ok(Device::Cpu)
    }

    fn claimed_device(&self, asked: Device, _real: Device) -> Device {
        asked
    }
}

/// Memory that nobody frees.
pub struct Leak;

impl Steps for Leak {
    fn release(&self, memory: Memory) {
        std::mem::forget(memory);
    }
}

/// The first address of the made-up range.
const BASE: u64 = 0x7f80_0000_0000;

/// Pointers that no driver gave, with handles to match.
pub struct FakePointer(pub ReferenceLoader);

impl Loader for FakePointer {
    fn export(&mut self, request: Export) -> std::result::Result<Exported, Failure> {
        let handle = request.handle;
        let mut exported = self.0.export(request)?;
        for block in &mut exported.blocks {
            block.pointer = BASE + (handle << 32);
            block.ipc = format!("{:0>128x}", block.pointer);
        }
        Ok(exported)
    }

    fn hello(&mut self, request: Hello) -> std::result::Result<Introduction, Failure> {
        self.0.hello(request)
    }

    fn load(&mut self, request: Load) -> std::result::Result<Loaded, Failure> {
        self.0.load(request)
    }

    fn stat(&mut self, request: Stat) -> std::result::Result<Holdings, Failure> {
        self.0.stat(request)
    }

    fn unload(&mut self, request: Unload) -> std::result::Result<Done, Failure> {
        self.0.unload(request)
    }

    fn device(&mut self, request: DeviceQuery) -> std::result::Result<DeviceInfo, Failure> {
        self.0.device(request)
    }

    fn read(&mut self, request: Read) -> std::result::Result<Written, Failure> {
        self.0.read(request)
    }

    fn synchronize(&mut self, request: Synchronize) -> std::result::Result<Done, Failure> {
        self.0.synchronize(request)
    }

    fn stream(&mut self, request: Stream) -> std::result::Result<Written, Failure> {
        self.0.stream(request)
    }

    fn multiply(&mut self, request: Multiply) -> std::result::Result<Written, Failure> {
        self.0.multiply(request)
    }
}
