//! What a loader's process sees of the machine's cards, and which card it means by the name of a device.

use super::case_end::CaseEnd;
use crate::contract::Device;
use crate::gpu::{self, GpuError};
use crate::harness::case::Environment;
use crate::harness::client::Gpus;

/// The cards that a process sees.
///
/// # Errors
/// If the cards cannot be named.
pub fn gpus(environment: Environment) -> Result<Gpus, String> {
    let named = |ordinals: &mut dyn Iterator<Item = u32>| {
        let all = ordinals.map(gpu::device_uuid).collect::<Result<_, GpuError>>();
        all.map(Gpus::Only).map_err(|error| error.to_string())
    };
    let count = || gpu::device_count().map_err(|error| error.to_string());
    match environment {
        Environment::AsIs => Ok(Gpus::AsIs),
        Environment::GpusHidden => Ok(Gpus::Hidden),
        Environment::OneCard => named(&mut std::iter::once(0)),
        Environment::CardsReversed => named(&mut (0..count()?).rev()),
    }
}

/// Whether a process may support less than it does where it sees all cards.
pub fn lessens(environment: Environment) -> bool {
    matches!(environment, Environment::GpusHidden | Environment::OneCard)
}

/// The card, as the judge numbers it, that a process means by the name of a device. `cards` is how many there are.
pub fn card(environment: Environment, device: Device, cards: u32) -> Device {
    match (environment, device) {
        (Environment::CardsReversed, Device::Cuda(ordinal)) if ordinal < cards => {
            Device::Cuda(cards - 1 - ordinal)
        }
        _ => device,
    }
}

/// The card behind a device; the first one behind the last.
///
/// # Errors
/// Untested, where the cards cannot be counted.
pub fn next_card(device: Device) -> Result<Device, CaseEnd> {
    match device {
        Device::Cpu => Err(CaseEnd::Fault("a card behind host memory".to_owned())),
        Device::Cuda(ordinal) => {
            let cards =
                gpu::device_count().map_err(|error| CaseEnd::Untested(error.to_string()))?;
            Ok(Device::Cuda((ordinal + 1) % cards.max(1)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_card_of_a_reversed_list_is_the_last_one() {
        let reversed = |device| card(Environment::CardsReversed, device, 4);
        assert_eq!(reversed(Device::Cuda(0)), Device::Cuda(3));
        assert_eq!(reversed(Device::Cuda(2)), Device::Cuda(1));
        assert_eq!(reversed(Device::Cuda(9)), Device::Cuda(9), "a card that nobody has");
        assert_eq!(reversed(Device::Cpu), Device::Cpu);
        assert_eq!(card(Environment::AsIs, Device::Cuda(0), 4), Device::Cuda(0));
        assert!(lessens(Environment::OneCard) && !lessens(Environment::CardsReversed));
    }
}
