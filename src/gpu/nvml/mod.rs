//! Asks NVML about a device and its processes, without a CUDA context.
//!
//! NVML numbers devices differently from CUDA and ignores `CUDA_VISIBLE_DEVICES`. So the functions
//! that take a CUDA ordinal find NVML's device by UUID.

pub mod condition;
pub mod session;
pub mod xid_events;
pub use self::condition::{CardPace, CardState, Confidential, Link, RemappedRows, Slowed};
use self::session::Session;
pub use self::xid_events::XidEvents;
use super::driver::context::device_uuid;
use super::driver::error::GpuError;

/// The driver's own version, such as `580.95.05`. Needs no device.
pub fn driver_version() -> Result<String, GpuError> {
    Session::open()?.driver_version()
}

/// The device's marketing name.
pub fn device_name(ordinal: u32) -> Result<String, GpuError> {
    let session = Session::open()?;
    session.name(&device_uuid(ordinal)?)
}

/// Name and total memory in bytes of the card with this UUID. The total includes memory that the
/// driver reserves.
pub fn card(uuid: &str) -> Result<(String, u64), GpuError> {
    let session = Session::open()?;
    Ok((session.name(uuid)?, session.total_bytes(uuid)?))
}

/// The device's UUID, `GPU-...`, after a check that NVML knows it.
pub fn gpu_uuid(ordinal: u32) -> Result<String, GpuError> {
    let session = Session::open()?;
    let uuid = device_uuid(ordinal)?;
    session.name(&uuid).map(|_| uuid)
}

/// Device memory in use by all processes, in bytes.
pub fn device_used_bytes(ordinal: u32) -> Result<u64, GpuError> {
    let session = Session::open()?;
    session.used_bytes(&device_uuid(ordinal)?)
}

/// Device memory in use by one process with a compute context, in bytes.
///
/// `None` means that NVML lists no such process on the device. A process shows up when it makes a
/// context, and its context alone counts some hundred MiB. Process ids are those of the host: in
/// a container with its own they may match nothing.
///
/// # Errors
///
/// Also when the process is listed and NVML cannot say how much it uses.
pub fn process_memory(pid: u32, ordinal: u32) -> Result<Option<u64>, GpuError> {
    let session = Session::open()?;
    session.process_bytes(&device_uuid(ordinal)?, pid)
}

/// The processes with a compute context on the device, with the bytes that each holds where NVML knows them. The process
/// ids are those of [`process_memory`].
pub fn processes(ordinal: u32) -> Result<Vec<(u32, Option<u64>)>, GpuError> {
    let session = Session::open()?;
    condition::processes(&session.device(&device_uuid(ordinal)?)?)
}

/// Share of NVML's last sample period in which the device was busy, in percent, over all processes.
pub fn utilization(ordinal: u32) -> Result<u32, GpuError> {
    let session = Session::open()?;
    session.utilization(&device_uuid(ordinal)?)
}

/// Faults, memory and modes of the card.
///
/// # Errors
///
/// Only where NVML or the card cannot be reached; a figure that is missing alone stands in the state.
pub fn card_state(ordinal: u32) -> Result<CardState, GpuError> {
    let session = Session::open()?;
    Ok(condition::state(&session.device(&device_uuid(ordinal)?)?))
}

/// How fast the card runs at this moment.
///
/// # Errors
///
/// As for [`card_state`].
pub fn card_pace(ordinal: u32) -> Result<CardPace, GpuError> {
    let session = Session::open()?;
    Ok(condition::pace(&session.device(&device_uuid(ordinal)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_door_agrees_on_whether_nvml_is_here() {
        let doors = [
            ("driver_version", driver_version().map(drop)),
            ("device_name", device_name(0).map(drop)),
            ("gpu_uuid", gpu_uuid(0).map(drop)),
            ("device_used_bytes", device_used_bytes(0).map(drop)),
            ("process_memory", process_memory(std::process::id(), 0).map(drop)),
            ("processes", processes(0).map(drop)),
            ("card_state", card_state(0).map(drop)),
            ("card_pace", card_pace(0).map(drop)),
            ("XidEvents", XidEvents::listen(0).map(drop)),
        ];
        let opened = Session::open().map(drop);
        if let Err(reason) = &opened {
            assert!(reason.is_unavailable() && !reason.text.is_empty(), "{reason}");
        }
        for (door, answer) in doors {
            match (&opened, answer) {
                (Err(reason), Err(error)) => assert_eq!(&error, reason, "{door}"),
                (Err(reason), Ok(())) => panic!("{door} answered without NVML: {reason}"),
                (Ok(()), Err(error)) => assert_ne!(error.call, "nvmlInit_v2", "{door}"),
                (Ok(()), Ok(())) => assert!(device_uuid(0).is_ok() || door == "driver_version"),
            }
        }
    }
}
