//! Describes this machine, from the operating system, the GPU driver and NVML, never from the
//! loader.

use std::fs;

use crate::contract::Device;
use crate::harness::record::Machine;

/// Describes this machine, with the card of this device. For the CPU, that is the first card, which is
/// there and not used.
pub fn describe(device: Device) -> Machine {
    let ordinal = match device {
        Device::Cuda(ordinal) => ordinal,
        Device::Cpu => 0,
    };
    let mut machine = Machine {
        system: system(),
        processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        memory_bytes: field("/proc/meminfo", "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .map_or(0, |kib| kib * 1024),
        ..Machine::default()
    };
    match crate::gpu::Context::open(ordinal) {
        Ok(context) => {
            machine.gpu = context.name().ok();
            machine.gpu_uuid = context.uuid().ok().filter(|_| device.is_gpu());
            machine.driver = crate::gpu::nvml::driver_version().ok();
        }
        Err(error) => machine.gpu_error = Some(error.to_string()),
    }
    machine
}

fn system() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let name = fs::read_to_string("/etc/os-release")
        .unwrap_or_default()
        .lines()
        .find_map(|line| Some(line.strip_prefix("PRETTY_NAME=")?.trim_matches('"').to_owned()))
        .unwrap_or_else(|| "Linux".to_owned());
    format!("{name}, Linux {}", read("/proc/sys/kernel/osrelease"))
}

fn field(path: &str, key: &str) -> Option<String> {
    fs::read_to_string(path).ok()?.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}
