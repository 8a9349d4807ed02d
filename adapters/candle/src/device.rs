//! candle's devices, each made once: two CUDA devices of candle are never the same one, whatever their ordinal.

use std::collections::BTreeMap;

use candle_core::Device as On;
use weighbridge::contract::{Class, Code, Device, Failure, Phase};
use weighbridge_adapter::completed;

use crate::failure::asked;

/// The devices that were asked for so far.
#[derive(Default)]
pub struct Devices {
    cards: BTreeMap<u32, On>,
}

impl Devices {
    /// The device of a request, or candle's refusal of it.
    pub fn on(&mut self, device: Device) -> Result<On, Failure> {
        let Device::Cuda(ordinal) = device else { return Ok(On::Cpu) };
        if let Some(card) = self.cards.get(&ordinal) {
            return Ok(card.clone());
        }
        let card =
            asked(Phase::Preflight, || On::new_cuda(ordinal as usize)).map_err(driverless)?;
        self.cards.insert(ordinal, card.clone());
        Ok(card)
    }
}

/// Without a library of CUDA's, cudarc panics as it opens it. That is a machine without CUDA, and no fault of candle.
fn driverless(failure: Failure) -> Failure {
    match failure.message.split_once("Unable to dynamically load the ") {
        Some((_, library)) => {
            let library = library.split(" - ").next().unwrap_or(library);
            let text = format!("there is no {library}");
            completed(Failure::new(Class::Device, Phase::Preflight, Code::CudaUnavailable, text))
        }
        None => failure,
    }
}

/// Waits until everything that was started on a device has run. An error of a kernel comes only now.
pub fn settle(phase: Phase, on: &On) -> Result<(), Failure> {
    asked(phase, || on.synchronize())
}

#[cfg(test)]
mod tests {
    use weighbridge::contract::{Class, Code, Device, Effects, Phase};

    use super::{Devices, asked, driverless};

    #[test]
    fn a_card_that_is_not_there_is_refused_and_never_replaced() {
        let failure = Devices::default().on(Device::Cuda(77)).map(drop).unwrap_err();
        assert_eq!(failure.class, Class::Device);
        assert!(matches!(failure.code, Code::CudaUnavailable | Code::InvalidDevice), "{failure}");
        assert!(failure.remedy.is_some() && failure.expected.is_some());
    }
    #[test]
    fn a_machine_without_the_driver_is_no_fault_of_candle() {
        let text = "Unable to dynamically load the \"cuda\" shared library - searched for: [..]";
        let panic = asked::<()>(Phase::Preflight, || panic!("{text}")).unwrap_err();
        assert_eq!(panic.code, Code::Internal);
        let failure = driverless(panic);
        assert_eq!((failure.class, failure.code), (Class::Device, Code::CudaUnavailable));
        assert_eq!(failure.message, "there is no \"cuda\" shared library");
        assert_eq!(failure.effects, Effects::None);
    }
}
