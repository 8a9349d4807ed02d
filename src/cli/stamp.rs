//! The origin of a measurement: when, by which build, on which machine.

use serde::{Deserialize, Serialize};

use crate::harness::evidence::{build, machine};
use crate::harness::record::Machine;

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
}

impl Stamp {
    /// The stamp of this moment, build and machine.
    pub fn now() -> Stamp {
        Stamp {
            started: build::now(),
            suite: env!("CARGO_PKG_VERSION").to_owned(),
            commit: build::COMMIT.to_owned(),
            binary: build::binary_digest(),
            machine: machine::describe(),
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
            (Some(gpu), driver) => format!("{gpu}, driver {}", driver.as_deref().unwrap_or("?")),
            (None, _) => "no GPU".to_owned(),
        };
        format!("{}, {} ({} cores), {gpu}", machine.system, machine.processor, machine.cores)
    }
}
