//! The health of the card that a command uses, and the option to use a sick one.

use std::io::{self, Write};

use clap::Args;

use super::{CommandError, exit};
use crate::contract::{Class, Code, Device, Failure, Phase};
use crate::gpu::{self, GpuError};
use crate::harness::evidence::health;
use crate::harness::record::Health;
use crate::harness::run::case_run::card::{CardCheck, CardWatch};

/// What to do without a GPU.
const ANOTHER_DEVICE: &str = "run on a GPU machine, or ask for the CPU by name: `--profile host` for a \
    certificate of the host path, `--device cpu` to try what can be tried";

/// How a command treats a sick card.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct SickCard {
    /// Use the GPU even if its health check fails. The report says so, and what fails then is blamed on the
    /// loader. Without this, nothing runs on a sick card, and the exit code is 7.
    #[arg(long)]
    pub sick_card_anyway: bool,
}

impl SickCard {
    /// What a run does about the card's health.
    pub fn check(self) -> CardCheck {
        match self.sick_card_anyway {
            true => CardCheck::Anyway,
            false => CardCheck::Quarantine,
        }
    }

    /// Reads the card before something is measured on it. Nothing on the CPU.
    ///
    /// # Errors
    /// Where the card is not there, or is sick and not wanted anyway.
    pub fn look(self, device: Device) -> Result<Option<Health>, CommandError> {
        check_device(device)?;
        let health = CardWatch::begin(device, self.check()).at_first();
        if let Some(health) = &health {
            if health.quarantined() {
                return Err(quarantined(device, health));
            }
            if let Some(why) = health.why() {
                // If stderr is closed, the report says it alone.
                let _ = writeln!(io::stderr(), "warning: {device} is sick and used anyway: {why}");
            }
        }
        Ok(health)
    }
}

/// Checks that a requested GPU exists, because nothing falls back to the CPU.
pub fn check_device(device: Device) -> Result<(), CommandError> {
    let Device::Cuda(ordinal) = device else { return Ok(()) };
    gpu::Context::open(ordinal).map(drop).map_err(|error| {
        if let Some(health) = not_opened(&error) {
            return quarantined(device, &health);
        }
        let (wanted, found) = (format!("a CUDA device with ordinal {ordinal}"), error.to_string());
        let message = "the requested GPU is not available";
        let failure = Failure::new(Class::Device, Phase::Preflight, Code::CudaUnavailable, message)
            .expected(&wanted, &found)
            .remedy(ANOTHER_DEVICE);
        CommandError::harness(format!(
            "[EMB-E001] CUDA_UNAVAILABLE\n  expected: {wanted}\n  actual: {found}\n  remedy: \
             {ANOTHER_DEVICE}"
        ))
        .of(failure)
    })
}

/// The health of a card that the driver lists and cannot open; nothing where there is no such card.
pub fn not_opened(error: &GpuError) -> Option<Health> {
    let missing = error.is_unavailable() || error.is_invalid_device();
    (!missing).then(|| Health { before: vec![health::not_opened(error)], ..Health::default() })
}

/// A command that ends because of a sick card.
pub fn quarantined(device: Device, health: &Health) -> CommandError {
    let mut text = format!("{device} is quarantined; this says nothing about the loader");
    for reading in health.sick() {
        text.push_str(&format!(
            "\n  {}\n    expected: {}\n    actual: {}",
            reading.what, reading.limit, reading.found
        ));
    }
    for remedy in health.remedies() {
        text.push_str(&format!("\n  remedy: {remedy}"));
    }
    text.push_str("\n  note: `weighbridge doctor` shows every reading of every card");
    CommandError::new(exit::QUARANTINED, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sick_card_has_an_exit_code_of_its_own_and_a_remedy() {
        let error = GpuError::refused("cuDevicePrimaryCtxRetain", "uncorrectable ECC error");
        let health = not_opened(&error).expect("the card is there");
        let stop = quarantined(Device::Cuda(1), &health);
        assert_eq!(stop.code, 7);
        for part in ["cuda:1 is quarantined", "uncorrectable ECC error", "remedy: reset the card"] {
            assert!(stop.message.contains(part), "{}", stop.message);
        }
    }

    #[test]
    fn the_option_says_what_happens() {
        assert_eq!(SickCard::default().check(), CardCheck::Quarantine);
        assert_eq!(SickCard { sick_card_anyway: true }.check(), CardCheck::Anyway);
    }
}
