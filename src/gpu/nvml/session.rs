//! The one NVML session of the process. Its errors become [`GpuError`].

use std::sync::OnceLock;

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, EventSet, Nvml};

use crate::gpu::driver::error::{GPU_IS_LOST, GpuError, Origin, RESET_REQUIRED};

/// An initialised NVML, kept until the process ends.
#[derive(Debug)]
pub(crate) struct Session {
    nvml: Nvml,
}

impl Session {
    /// Opens and initialises NVML, once a process if it succeeds.
    pub(crate) fn open() -> Result<&'static Session, GpuError> {
        static OPEN: OnceLock<Session> = OnceLock::new();
        if let Some(session) = OPEN.get() {
            return Ok(session);
        }
        // Two threads may both get here. NVML counts its users, and the second session is closed.
        let nvml = Nvml::init().map_err(|error| explain("nvmlInit_v2", error))?;
        Ok(OPEN.get_or_init(|| Session { nvml }))
    }

    pub(crate) fn driver_version(&self) -> Result<String, GpuError> {
        self.nvml.sys_driver_version().map_err(|error| explain("nvmlSystemGetDriverVersion", error))
    }

    pub(crate) fn name(&self, uuid: &str) -> Result<String, GpuError> {
        self.device(uuid)?.name().map_err(|error| explain("nvmlDeviceGetName", error))
    }

    pub(crate) fn used_bytes(&self, uuid: &str) -> Result<u64, GpuError> {
        self.device(uuid)?
            .memory_info()
            .map(|memory| memory.used)
            .map_err(|error| explain("nvmlDeviceGetMemoryInfo_v2", error))
    }

    pub(crate) fn total_bytes(&self, uuid: &str) -> Result<u64, GpuError> {
        self.device(uuid)?
            .memory_info()
            .map(|memory| memory.total)
            .map_err(|error| explain("nvmlDeviceGetMemoryInfo_v2", error))
    }

    pub(crate) fn utilization(&self, uuid: &str) -> Result<u32, GpuError> {
        self.device(uuid)?
            .utilization_rates()
            .map(|rates| rates.gpu)
            .map_err(|error| explain("nvmlDeviceGetUtilizationRates", error))
    }

    pub(crate) fn process_bytes(&self, uuid: &str, pid: u32) -> Result<Option<u64>, GpuError> {
        const CALL: &str = "nvmlDeviceGetComputeRunningProcesses_v3";
        let processes =
            self.device(uuid)?.running_compute_processes().map_err(|error| explain(CALL, error))?;
        match processes.iter().find(|process| process.pid == pid) {
            None => Ok(None),
            Some(process) => match process.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => Ok(Some(bytes)),
                UsedGpuMemory::Unavailable => Err(GpuError::reported(
                    Origin::Nvml,
                    CALL,
                    None,
                    "NVML_VALUE_NOT_AVAILABLE",
                    format!("process {pid} is listed without the memory it uses"),
                )),
            },
        }
    }

    pub(crate) fn xid_events(&'static self, uuid: &str) -> Result<EventSet<'static>, GpuError> {
        let device = self.device(uuid)?;
        let set = self.nvml.create_event_set();
        let set = set.map_err(|error| explain("nvmlEventSetCreate", error))?;
        let listening = device.register_events(EventTypes::CRITICAL_XID_ERROR, set);
        listening.map_err(|error| explain("nvmlDeviceRegisterEvents", error.error))
    }

    /// NVML's handle of the card with this UUID.
    pub(super) fn device(&self, uuid: &str) -> Result<Device<'_>, GpuError> {
        self.nvml.device_by_uuid(uuid).map_err(|error| explain("nvmlDeviceGetHandleByUUID", error))
    }
}

/// The wrapper hides NVML's numbers and names; its text says what happened.
pub(super) fn explain(call: &'static str, error: NvmlError) -> GpuError {
    let text = match &error {
        NvmlError::LibloadingError(linker) => linker.to_string(),
        _ => error.to_string(),
    };
    let (origin, name) = match &error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
            (Origin::Missing, "LIBRARY_NOT_FOUND".to_owned())
        }
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
            (Origin::Missing, "SYMBOL_NOT_FOUND".to_owned())
        }
        NvmlError::DriverNotLoaded => (Origin::Missing, "DRIVER_NOT_LOADED".to_owned()),
        NvmlError::GpuLost => (Origin::Nvml, GPU_IS_LOST.to_owned()),
        NvmlError::ResetRequired => (Origin::Nvml, RESET_REQUIRED.to_owned()),
        _ => (Origin::Nvml, "NVML_ERROR".to_owned()),
    };
    GpuError::reported(origin, call, None, name, text)
}
