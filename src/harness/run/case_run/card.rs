//! Watches the card of a run: before the first case, after each case that failed, and after the last.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::contract::Device;
use crate::gpu;
use crate::gpu::nvml::XidEvents;
use crate::harness::evidence::health;
use crate::harness::record::excuse::excuse_one;
use crate::harness::record::health::{Reading, why};
use crate::harness::record::{CaseRecord, Health, Verdict};

/// What is done about the card's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CardCheck {
    /// A sick card is quarantined.
    #[default]
    Quarantine,
    /// A sick card is used; the record says so.
    Anyway,
    /// Nothing is read: another run of the same command has done it.
    Skip,
}

/// The watch over a run's card. On the CPU there is nothing to watch.
pub struct CardWatch {
    ordinal: Option<u32>,
    anyway: bool,
    /// Held for the whole run: a reading must not wait for a new context.
    _context: Option<gpu::Context>,
    events: Option<XidEvents>,
    before: Vec<Reading>,
    meanwhile: Mutex<Vec<Reading>>,
    why: OnceLock<String>,
}

impl CardWatch {
    /// Reads the card, which must be idle.
    pub fn begin(device: Device, check: CardCheck) -> Self {
        let ordinal = match device {
            Device::Cuda(ordinal) if check != CardCheck::Skip => Some(ordinal),
            _ => None,
        };
        let context = ordinal.and_then(|ordinal| gpu::Context::open(ordinal).ok());
        // Without events the kernel log is left, or the reading says that it knows nothing.
        let events = ordinal.and_then(|ordinal| XidEvents::listen(ordinal).ok());
        let before = ordinal.map(|ordinal| health::look(ordinal, events.as_ref()));
        let watch = CardWatch {
            ordinal,
            anyway: check == CardCheck::Anyway,
            _context: context,
            events,
            before: before.unwrap_or_default(),
            meanwhile: Mutex::new(Vec::new()),
            why: OnceLock::new(),
        };
        watch.close(&watch.before);
        watch
    }

    /// Why nothing more is tried on this card, if so.
    pub fn closed(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }

    /// Looks at the card after a case that failed. If it is sick now, the loader is not blamed.
    pub fn after_case(&self, case: &mut CaseRecord) {
        let failed = case.verdict.refutes() || case.verdict == Verdict::Error;
        let Some(ordinal) = self.ordinal.filter(|_| failed && !self.anyway) else { return };
        if self.closed().is_none() {
            let readings = health::glance(ordinal, self.events.as_ref());
            if self.close(&readings) {
                *self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner) = readings;
            }
        }
        if let Some(why) = self.closed() {
            excuse_one(case, why);
        }
    }

    /// The health as it is known before the first case.
    pub fn at_first(&self) -> Option<Health> {
        let health = Health { before: self.before.clone(), after: Vec::new(), anyway: self.anyway };
        // Only a sick card is used anyway.
        self.ordinal.map(|_| Health { anyway: self.anyway && health.why().is_some(), ..health })
    }

    /// The health of the whole run. Reads the card again, unless it is known to be sick.
    pub fn at_last(&self) -> Option<Health> {
        let (ordinal, mut health) = (self.ordinal?, self.at_first()?);
        health.after = match self.closed() {
            Some(_) => self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            None => health::look_after(ordinal, self.events.as_ref()),
        };
        health.anyway = self.anyway && health.why().is_some();
        Some(health)
    }

    /// Closes the card if one of the readings is sick. Returns whether this call closed it.
    fn close(&self, readings: &[Reading]) -> bool {
        match why(readings) {
            Some(why) if !self.anyway => self.why.set(why).is_ok(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::health::State;
    use crate::harness::record::sample;

    fn watch(anyway: bool) -> CardWatch {
        CardWatch {
            ordinal: Some(0),
            anyway,
            _context: None,
            events: None,
            before: Vec::new(),
            meanwhile: Mutex::new(Vec::new()),
            why: OnceLock::new(),
        }
    }

    fn sick() -> Reading {
        Reading {
            what: "uncorrected memory errors".to_owned(),
            found: "1".to_owned(),
            limit: "0".to_owned(),
            source: "NVML".to_owned(),
            state: State::Sick,
            remedy: Some("reset the card".to_owned()),
        }
    }

    #[test]
    fn a_sick_reading_closes_the_card_once_and_excuses_what_fails_after() {
        let watch = watch(false);
        assert!(watch.closed().is_none());
        assert!(watch.close(&[sick()]) && !watch.close(&[sick()]));
        let mut case = sample::because("A::b", Verdict::Crash, "signal 6");
        watch.after_case(&mut case);
        assert_eq!(case.verdict, Verdict::Untested);
        assert!(case.reason.as_ref().is_some_and(|reason| reason.contains("crash, signal 6")));
        let mut passed = sample::passed("A::b", 10);
        watch.after_case(&mut passed);
        assert_eq!(passed, sample::passed("A::b", 10));
    }

    #[test]
    fn a_card_used_anyway_stays_open_and_blames() {
        let watch = watch(true);
        assert!(!watch.close(&[sick()]) && watch.closed().is_none());
        let failed = sample::because("A::b", Verdict::Crash, "signal 6");
        let mut case = failed.clone();
        watch.after_case(&mut case);
        assert_eq!(case, failed);
        assert!(watch.at_first().is_some_and(|health| !health.anyway), "healthy, so not anyway");
    }

    #[test]
    fn host_memory_has_no_card() {
        let watch = CardWatch::begin(Device::Cpu, CardCheck::Quarantine);
        assert!(watch.at_last().is_none() && watch.closed().is_none());
        assert!(CardWatch::begin(Device::Cuda(0), CardCheck::Skip).at_last().is_none());
    }
}
