//! Mutants that compute with other weights than those they export.

use std::collections::BTreeMap;

use crate::contract::reply::Reply;
use crate::contract::request::{Request, Unload};
use crate::contract::{Device, Loader};
use crate::loader::ReferenceLoader;
use crate::mutants::between::{Answer, Between, handle};

/// Loads every GPU model a second time on the host, and computes there.
#[derive(Default)]
pub struct HostComputes {
    host: ReferenceLoader,
    /// By handle: the handle of the host copy, and the device to report.
    models: BTreeMap<u64, (u64, Device)>,
}

impl Between for HostComputes {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        match &request {
            Request::Load(load) if load.device.is_gpu() && load.inference.is_some() => {
                let mut twin = load.clone();
                twin.device = Device::Cpu;
                let reply = loader.answer(request)?;
                if let Reply::Load(loaded) = &reply {
                    // If the host load fails, this model runs on the device, honestly.
                    if let Ok(on_host) = self.host.load(twin) {
                        self.models.insert(loaded.handle, (on_host.handle, loaded.device));
                    }
                }
                return Ok(reply);
            }
            Request::Unload(Unload { handle }) => {
                if let Some((handle, _)) = self.models.remove(handle) {
                    self.host.unload(Unload { handle })?;
                }
                return loader.answer(request);
            }
            Request::Forward(_) | Request::Generate(_) | Request::Validate(_) => {}
            _ => return loader.answer(request),
        }
        let own = handle(&mut request).and_then(|handle| {
            let (on_host, named) = self.models.get(handle)?;
            *handle = *on_host;
            Some(*named)
        });
        let Some(named) = own else { return loader.answer(request) };
        let mut reply = self.host.answer(request)?;
        match &mut reply {
            Reply::Forward(forwarded) => forwarded.device = named,
            Reply::Generate(generated) => generated.device = named,
            Reply::Validate(validated) => validated.device = named,
            _ => {}
        }
        Ok(reply)
    }
}

/// Loads every GPU model twice: one copy is exported and read back, the other computes.
#[derive(Default)]
pub struct Decoy {
    /// By handle: the handle of the exported copy, and its size in bytes.
    shown: BTreeMap<u64, (u64, u64)>,
}

impl Between for Decoy {
    fn answer(&mut self, loader: &mut ReferenceLoader, mut request: Request) -> Answer {
        match &mut request {
            Request::Load(load) if load.device.is_gpu() && load.inference.is_some() => {
                let twin = load.clone();
                let reply = loader.answer(request)?;
                if let Reply::Load(loaded) = &reply {
                    let shown = loader.load(twin)?;
                    self.shown.insert(loaded.handle, (shown.handle, shown.held_bytes));
                }
                Ok(reply)
            }
            Request::Unload(Unload { handle }) => {
                if let Some((handle, _)) = self.shown.remove(handle) {
                    loader.unload(Unload { handle })?;
                }
                loader.answer(request)
            }
            Request::Export(_) | Request::Read(_) => {
                if let Some(handle) = handle(&mut request)
                    && let Some((shown, _)) = self.shown.get(handle)
                {
                    *handle = *shown;
                }
                loader.answer(request)
            }
            Request::Stat(_) => {
                let mut reply = loader.answer(request)?;
                if let Reply::Stat(held) = &mut reply {
                    let bytes: u64 = self.shown.values().map(|(_, bytes)| bytes).sum();
                    held.models = held.models.saturating_sub(self.shown.len() as u64);
                    held.device_bytes = held.device_bytes.saturating_sub(bytes);
                }
                Ok(reply)
            }
            _ => loader.answer(request),
        }
    }
}
