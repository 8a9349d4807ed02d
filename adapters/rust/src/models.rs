//! Models by handle.

use std::collections::BTreeMap;

use weighbridge::contract::reply::{Done, Holdings};
use weighbridge::contract::{Code, Device, Failure, Phase};

use super::refused;

/// The loaded models. Handles begin with 1, and none is given twice.
pub struct Models<M> {
    models: BTreeMap<u64, M>,
    last: u64,
}

impl<M> Default for Models<M> {
    fn default() -> Self {
        Models { models: BTreeMap::new(), last: 0 }
    }
}

impl<M> Models<M> {
    /// Stores a model and returns its handle.
    pub fn hold(&mut self, model: M) -> u64 {
        self.last += 1;
        self.models.insert(self.last, model);
        self.last
    }

    /// The model of a handle.
    ///
    /// # Errors
    /// `unknown_handle`.
    pub fn held(&mut self, handle: u64) -> Result<&mut M, Failure> {
        self.models.get_mut(&handle).ok_or_else(|| unknown(handle))
    }

    /// Drops the model of a handle.
    ///
    /// # Errors
    /// `unknown_handle`.
    pub fn release(&mut self, handle: u64) -> Result<Done, Failure> {
        self.models.remove(&handle).map(|_| Done {}).ok_or_else(|| unknown(handle))
    }

    /// What all of them hold, given the bytes of one and whether a GPU has them.
    pub fn holdings(&self, bytes: impl Fn(&M) -> (u64, Device)) -> Holdings {
        let mut held = Holdings { models: 0, host_bytes: 0, device_bytes: 0 };
        for (bytes, device) in self.models.values().map(bytes) {
            held.models += 1;
            match device.is_gpu() {
                true => held.device_bytes += bytes,
                false => held.host_bytes += bytes,
            }
        }
        held
    }
}

fn unknown(handle: u64) -> Failure {
    let text = format!("no model has the handle {handle}");
    refused(Phase::Request, Code::UnknownHandle, text)
        .expected("the handle of a loaded model", handle)
}
