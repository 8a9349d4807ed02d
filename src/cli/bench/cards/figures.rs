//! The results of loads over several devices.

use serde::Serialize;

use super::arm::Arm;
use super::subject::Limit;
use crate::cli::stamp::Stamp;

/// Format of the JSON.
pub const FORMAT: &str = "weighbridge.bench-cards/1";

/// The whole measurement.
#[derive(Debug, Serialize)]
pub struct Bench {
    /// [`FORMAT`].
    pub format: &'static str,
    /// When, by which build, on which machine.
    #[serde(flatten)]
    pub stamp: Stamp,
    /// How long it took.
    pub seconds: f64,
    /// The devices.
    pub devices: Vec<String>,
    /// Timed loads of each arm.
    pub rounds: u32,
    /// Which inputs were synthetic, in words.
    pub synthetic: Vec<String>,
    /// Size of the model, in bytes.
    pub model_bytes: u64,
    /// What the machine can do, by the number of devices.
    pub limits: Vec<Limit>,
    /// Every way to load.
    pub arms: Vec<Arm>,
}
