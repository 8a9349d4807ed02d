//! The origin of a measurement: when, by which build, on which machine.

use serde::{Deserialize, Serialize};

use crate::contract::Device;
use crate::harness::evidence::{build, machine};
use crate::harness::record::{Health, Machine};

/// The first part of every measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stamp {
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// Version of this program.
    pub suite: String,
    /// Commit that it was built from.
    pub commit: String,
    /// SHA-256 of the running binary.
    pub binary: String,
    /// The machine.
    pub machine: Machine,
    /// Readings of the card, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl Stamp {
    /// The stamp of this moment, build and machine, with the card of this device.
    pub fn now(device: Device) -> Stamp {
        Stamp {
            started: build::now(),
            suite: env!("CARGO_PKG_VERSION").to_owned(),
            commit: build::COMMIT.to_owned(),
            binary: build::binary_digest(),
            machine: machine::describe(device),
            health: None,
        }
    }

    /// When, and by which commit.
    pub fn origin(&self) -> String {
        format!("{}, commit {}", self.started, self.commit)
    }

    /// The machine in one line.
    pub fn place(&self) -> String {
        let machine = &self.machine;
        let gpu = match (&machine.gpu, &machine.driver) {
            (Some(gpu), driver) => {
                let uuid = machine.gpu_uuid.as_ref().map(|uuid| format!(" ({uuid})"));
                let driver = driver.as_deref().unwrap_or("?");
                format!("{gpu}{}, driver {driver}", uuid.unwrap_or_default())
            }
            (None, _) => "no GPU".to_owned(),
        };
        format!("{}, {} ({} cores), {gpu}", machine.system, machine.processor, machine.cores)
    }
}
