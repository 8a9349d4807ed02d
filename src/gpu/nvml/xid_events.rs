//! Xid errors of a card while they are listened to. Needs no privilege, and knows nothing of earlier ones.

use std::sync::{Mutex, PoisonError};

use nvml_wrapper::EventSet;
use nvml_wrapper::enums::event::XidError;

use super::session::Session;
use crate::gpu::driver::context::device_uuid;
use crate::gpu::driver::error::GpuError;

/// Most events that one look takes: a card that fails may report without end.
const MOST: usize = 256;

/// Listens for the Xid errors of one card.
pub struct XidEvents {
    set: Mutex<EventSet<'static>>,
}

impl XidEvents {
    /// Begins to listen to the card with this CUDA ordinal.
    ///
    /// # Errors
    ///
    /// Where NVML cannot tell of events here.
    pub fn listen(ordinal: u32) -> Result<XidEvents, GpuError> {
        let set = Session::open()?.xid_events(&device_uuid(ordinal)?)?;
        Ok(XidEvents { set: Mutex::new(set) })
    }

    /// The numbers reported since the last call. Where several came at once, NVML gives the last number
    /// for each of them.
    pub fn take(&self) -> Vec<u64> {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let mut numbers = Vec::new();
        // A timeout says that nothing is left; any other error, that nothing can be learned.
        while let (true, Ok(event)) = (numbers.len() < MOST, set.wait(0)) {
            numbers.push(match event.event_data {
                Some(XidError::Value(number)) => number,
                // As NVML writes a number that it does not know.
                Some(XidError::Unknown) | None => 999,
            });
        }
        numbers
    }
}

impl std::fmt::Debug for XidEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("XidEvents")
    }
}
