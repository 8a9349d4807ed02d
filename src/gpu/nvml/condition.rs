//! What NVML says of a card's condition: the faults that it counted, what slows it, its link, its memory.
//!
//! Each figure may be missing alone: cards, drivers and containers differ in what they tell. No figure is
//! judged here.

use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError};
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::{
    NVML_FI_DEV_REMAPPED_FAILURE, NVML_FI_DEV_REMAPPED_PENDING,
};

use super::session::explain;
use crate::gpu::driver::error::GpuError;

/// Faults, memory and modes of a card.
#[derive(Clone, Debug)]
pub struct CardState {
    /// Its address on the PCI bus, such as `00000000:3B:00.0`.
    pub bus: Result<String, GpuError>,
    /// Memory errors that could not be corrected, since the driver was loaded or the card reset.
    pub uncorrected_errors: Result<u64, GpuError>,
    /// Whether memory pages wait to be retired.
    pub pages_pending: Result<bool, GpuError>,
    /// Spare rows that take the place of faulty ones.
    pub rows: Result<RemappedRows, GpuError>,
    /// Free and total memory, in bytes.
    pub memory: Result<(u64, u64), GpuError>,
    /// Processes with a compute context, with the bytes that each holds where NVML knows them.
    pub processes: Result<Vec<(u32, Option<u64>)>, GpuError>,
    /// Confidential computing.
    pub confidential: Result<Confidential, GpuError>,
}

/// What is left to do about faulty rows of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemappedRows {
    /// A row waits for the next reset to be replaced.
    pub pending: bool,
    /// A row could not be replaced.
    pub failed: bool,
}

/// The mode of confidential computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confidential {
    /// Whether it is on: copies are encrypted then.
    pub on: bool,
    /// Whether it is on in the mode for developers, which protects nothing.
    pub developer: bool,
    /// Whether the card accepts work; known only where it is on.
    pub ready: Option<bool>,
}

/// How fast a card runs at this moment.
#[derive(Clone, Debug)]
pub struct CardPace {
    /// What slows the card by force.
    pub slowed: Result<Slowed, GpuError>,
    /// Clock of the multiprocessors and its maximum, in MHz.
    pub clock: Result<(u32, u32), GpuError>,
    /// The PCIe link.
    pub link: Result<Link, GpuError>,
}

/// What the hardware itself slows the card for; each halves the clock or worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slowed {
    /// Slowdown for any of the hardware's reasons.
    pub hardware: bool,
    /// Too hot.
    pub thermal: bool,
    /// The power supply asserts the brake.
    pub power_brake: bool,
}

/// The PCIe link, as it is and at best with this card in this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Generation.
    pub generation: u32,
    /// Lanes.
    pub width: u32,
    /// Highest generation.
    pub most_generation: u32,
    /// Most lanes.
    pub most_width: u32,
}

/// Reads a card's state.
pub(super) fn state(device: &Device<'_>) -> CardState {
    CardState {
        bus: device
            .pci_info()
            .map(|pci| pci.bus_id)
            .map_err(|error| explain("nvmlDeviceGetPciInfo_v3", error)),
        uncorrected_errors: device
            .total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile)
            .map_err(|error| explain("nvmlDeviceGetTotalEccErrors", error)),
        pages_pending: device
            .are_pages_pending_retired()
            .map_err(|error| explain("nvmlDeviceGetRetiredPagesPendingStatus", error)),
        rows: rows(device).map_err(|error| explain("nvmlDeviceGetFieldValues", error)),
        memory: device
            .memory_info()
            .map(|memory| (memory.free, memory.total))
            .map_err(|error| explain("nvmlDeviceGetMemoryInfo_v2", error)),
        processes: processes(device),
        confidential: confidential(device)
            .map_err(|error| explain("nvmlSystemGetConfComputeSettings", error)),
    }
}

/// Reads how fast it runs.
pub(super) fn pace(device: &Device<'_>) -> CardPace {
    CardPace {
        slowed: device
            .current_throttle_reasons()
            .map(slowed)
            .map_err(|error| explain("nvmlDeviceGetCurrentClocksThrottleReasons", error)),
        clock: device
            .clock_info(Clock::SM)
            .and_then(|now| Ok((now, device.max_clock_info(Clock::SM)?)))
            .map_err(|error| explain("nvmlDeviceGetClockInfo", error)),
        link: link(device).map_err(|error| explain("nvmlDeviceGetCurrPcieLinkGeneration", error)),
    }
}

fn slowed(reasons: ThrottleReasons) -> Slowed {
    Slowed {
        hardware: reasons.contains(ThrottleReasons::HW_SLOWDOWN),
        thermal: reasons.contains(ThrottleReasons::HW_THERMAL_SLOWDOWN),
        power_brake: reasons.contains(ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN),
    }
}

fn rows(device: &Device<'_>) -> Result<RemappedRows, NvmlError> {
    let wanted = [FieldId(NVML_FI_DEV_REMAPPED_PENDING), FieldId(NVML_FI_DEV_REMAPPED_FAILURE)];
    let mut fields = device.field_values_for(&wanted)?.into_iter();
    let mut next = || -> Result<bool, NvmlError> {
        let sample = fields.next().unwrap_or(Err(NvmlError::NoData))?;
        Ok(match sample.value? {
            SampleValue::U32(value) => value != 0,
            SampleValue::U64(value) => value != 0,
            SampleValue::I64(value) => value != 0,
            SampleValue::F64(value) => value != 0.0,
        })
    };
    Ok(RemappedRows { pending: next()?, failed: next()? })
}

/// Reads which processes have a compute context, and what each holds.
pub(super) fn processes(device: &Device<'_>) -> Result<Vec<(u32, Option<u64>)>, GpuError> {
    let one = |bytes| match bytes {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    };
    let listed = device.running_compute_processes();
    let listed =
        listed.map_err(|error| explain("nvmlDeviceGetComputeRunningProcesses_v3", error))?;
    Ok(listed.into_iter().map(|process| (process.pid, one(process.used_gpu_memory))).collect())
}

fn confidential(device: &Device<'_>) -> Result<Confidential, NvmlError> {
    let on = device.is_cc_enabled()?;
    Ok(Confidential {
        on,
        developer: on && device.is_cc_dev_mode_enabled()?,
        ready: if on { Some(device.get_confidential_compute_state()?) } else { None },
    })
}

fn link(device: &Device<'_>) -> Result<Link, NvmlError> {
    Ok(Link {
        generation: device.current_pcie_link_gen()?,
        width: device.current_pcie_link_width()?,
        most_generation: device.max_pcie_link_gen()?,
        most_width: device.max_pcie_link_width()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hardwares_own_reasons_count() {
        let own = [
            ThrottleReasons::GPU_IDLE,
            ThrottleReasons::SW_POWER_CAP,
            ThrottleReasons::APPLICATIONS_CLOCKS_SETTING,
        ];
        for reason in own {
            assert_eq!(slowed(reason), Slowed::default(), "{reason:?}");
        }
        let hot = ThrottleReasons::HW_SLOWDOWN | ThrottleReasons::HW_THERMAL_SLOWDOWN;
        assert_eq!(slowed(hot), Slowed { hardware: true, thermal: true, power_brake: false });
        assert!(slowed(ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN).power_brake);
    }
}
