//! The least that a loader can be: it serves the four verbs that must be served, with made-up
//! models, and panics or hangs on request.

use std::time::Duration;

use weighbridge::contract::capability::{Capability, declare};
use weighbridge::contract::failure::{Class, Code, Failure, Phase};
use weighbridge::contract::loader::Loader;
use weighbridge::contract::reply::{Done, Holdings, Introduction, Loaded};
use weighbridge::contract::request::{Hello, Load, Stat, Unload};
use weighbridge::contract::{Device, PROTOCOL};

/// Holds nothing but a count.
#[derive(Default)]
pub struct Honest {
    loaded: Vec<u64>,
    last: u64,
}

/// What the honest loader says of itself.
pub fn introduction(nonce: String) -> Introduction {
    let served = [Capability::DeviceCpu, Capability::Stat];
    let capabilities = declare(&served, |_| "too small a loader");
    let (name, version) = ("honest".to_owned(), "1.0.0".to_owned());
    Introduction { protocol: PROTOCOL, nonce, name, version, capabilities }
}

impl Loader for Honest {
    fn hello(&mut self, request: Hello) -> Result<Introduction, Failure> {
        Ok(introduction(request.nonce))
    }

    fn load(&mut self, request: Load) -> Result<Loaded, Failure> {
        match request.path.to_str() {
            Some("missing") => {
                return Err(Failure::new(
                    Class::Refused,
                    Phase::Open,
                    Code::NotFound,
                    "no such file: missing",
                )
                .path(&request.path));
            }
            Some("panic") => panic!("as asked"),
            Some("hang") => std::thread::sleep(Duration::from_secs(600)),
            _ => {}
        }
        self.last += 1;
        self.loaded.push(self.last);
        Ok(Loaded::new(self.last, Device::Cpu, 8, 0, Vec::new()))
    }

    fn stat(&mut self, _request: Stat) -> Result<Holdings, Failure> {
        Ok(Holdings { models: self.loaded.len() as u64, host_bytes: 0, device_bytes: 0 })
    }

    fn unload(&mut self, request: Unload) -> Result<Done, Failure> {
        let unknown = || {
            let message = format!("no such model: {}", request.handle);
            Failure::new(Class::Refused, Phase::Request, Code::UnknownHandle, message)
        };
        let at = self.loaded.iter().position(|&held| held == request.handle);
        self.loaded.remove(at.ok_or_else(unknown)?);
        Ok(Done {})
    }
}
