//! Every card of the machine: what it is, whether NVML sees this process on it, and its health.

use serde::Serialize;

use crate::contract::Device;
use crate::gpu::{self, nvml};
use crate::harness::evidence::health;
use crate::harness::record::Health;
use crate::harness::record::health::State;

/// A card.
#[derive(Serialize)]
pub struct Card {
    /// The device, as commands name it.
    device: String,
    /// Its name, or why it cannot be opened.
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    /// What NVML says of this process on it.
    pub nvml: String,
    quarantined: bool,
    health: Health,
}

/// Every card that CUDA lists here; none without a GPU.
pub fn all() -> Vec<Card> {
    (0..gpu::device_count().unwrap_or(0)).map(card).collect()
}

/// The cards that no run would use.
pub fn quarantined(cards: &[Card]) -> Option<String> {
    let sick = cards.iter().filter(|card| card.quarantined).map(|card| card.device.as_str());
    Some(sick.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
}

fn card(ordinal: u32) -> Card {
    // NVML lists a process only while it has a context.
    let context = gpu::Context::open(ordinal);
    let before = match &context {
        Ok(_) => health::look(ordinal, None),
        Err(error) => vec![health::not_opened(error)],
    };
    let health = Health { before, ..Health::default() };
    let named = context.as_ref().map_err(Clone::clone).and_then(gpu::Context::name);
    Card {
        device: Device::Cuda(ordinal).to_string(),
        name: named.unwrap_or_else(|error| error.to_string()),
        uuid: gpu::device_uuid(ordinal).ok(),
        nvml: seen_by_nvml(ordinal),
        quarantined: health.quarantined(),
        health,
    }
}

fn seen_by_nvml(ordinal: u32) -> String {
    match nvml::process_memory(std::process::id(), ordinal) {
        Ok(Some(bytes)) => format!("sees this process: {bytes} bytes"),
        Ok(None) => "answers, but does not list this process".to_owned(),
        Err(error) => error.to_string(),
    }
}

impl Card {
    /// The card as labelled lines: one for itself, one for NVML, one for each reading.
    pub fn lines(&self) -> Vec<(String, String)> {
        let uuid = self.uuid.as_deref().unwrap_or("no UUID");
        let mut lines = vec![
            (self.device.clone(), format!("{} ({uuid})", self.name)),
            ("  nvml".to_owned(), self.nvml.clone()),
            ("  health".to_owned(), self.health.line()),
        ];
        for reading in &self.health.before {
            let mut text = format!("{}: {}", reading.what, reading.found);
            match reading.state {
                State::NotReadable => {}
                State::Healthy | State::Sick => text += &format!(" (limit: {})", reading.limit),
            }
            lines.push((format!("  {}", reading.state.name()), text));
        }
        lines.extend(
            self.health.remedies().iter().map(|text| ("  remedy".to_owned(), (*text).to_owned())),
        );
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::health::Reading;

    fn card(device: &str, state: State) -> Card {
        let reading = Reading {
            what: "uncorrected memory errors".to_owned(),
            found: "2".to_owned(),
            limit: "0".to_owned(),
            source: "NVML".to_owned(),
            state,
            remedy: (state == State::Sick).then(|| "reset the card".to_owned()),
        };
        let health = Health { before: vec![reading], ..Health::default() };
        Card {
            device: device.to_owned(),
            name: "Example".to_owned(),
            uuid: Some("GPU-00".to_owned()),
            nvml: "answers".to_owned(),
            quarantined: health.quarantined(),
            health,
        }
    }

    #[test]
    fn only_sick_cards_are_quarantined_and_their_remedy_is_shown() {
        let cards = [card("cuda:0", State::NotReadable), card("cuda:1", State::Sick)];
        assert_eq!(quarantined(&cards).as_deref(), Some("cuda:1"));
        assert_eq!(quarantined(&cards[..1]), None);
        let lines = cards[1].lines();
        let line = |label: &str| lines.iter().find(|(own, _)| own.trim() == label).unwrap();
        assert_eq!(line("cuda:1").1, "Example (GPU-00)");
        assert_eq!(line("sick").1, "uncorrected memory errors: 2 (limit: 0)");
        assert_eq!(line("remedy").1, "reset the card");
    }
}
