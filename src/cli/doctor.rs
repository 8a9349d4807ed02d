//! `weighbridge doctor`: says what this machine can test, and what keeps it from the rest.

mod cards;

use std::io::Write;

use clap::Args;
use serde::Serialize;

use self::cards::Card;
use super::fault::print;
use super::weighing::Embedded;
use super::{CommandError, exit};
use crate::contract::Device;
use crate::harness::evidence::{build, machine};
use crate::harness::record::Machine;

/// Say what can be tested on this machine, and why not more.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Everything that was found.
#[derive(Serialize)]
struct Findings {
    commit: &'static str,
    requirements: usize,
    cases: usize,
    #[serde(flatten)]
    machine: Machine,
    /// What NVML says of this process on the first GPU; nothing without a GPU.
    nvml: Option<String>,
    /// Every card, with the readings of its health.
    cards: Vec<Card>,
    profiles: Vec<Profile>,
    so: String,
}

/// Whether a profile can be tested here.
#[derive(Serialize)]
struct Profile {
    name: String,
    here: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Runs the subcommand. A missing GPU is a finding, not a failure.
///
/// # Errors
/// If the embedded suite is broken, or stdout cannot be written.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<u8, CommandError> {
    let found = Findings::here(&Embedded::read()?);
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&found).map_err(CommandError::harness)? + "\n",
        false => found.text(),
    };
    print(out, &text)?;
    Ok(exit::CORROBORATED)
}

impl Findings {
    fn here(embedded: &Embedded) -> Self {
        let machine = machine::describe(Device::Cuda(0));
        let profiles: Vec<Profile> = embedded
            .spec
            .profiles()
            .iter()
            .map(|profile| {
                let here = machine.gpu.is_some() || !profile.gpu_certificate;
                let why = (!here).then(|| format!("no GPU: {}", reason(&machine)));
                Profile { name: profile.name.clone(), here, why }
            })
            .collect();
        let names: Vec<String> = profiles
            .iter()
            .filter(|profile| profile.here)
            .map(|profile| format!("--profile {}", profile.name))
            .collect();
        let cards = cards::all();
        let so = match names.len() == profiles.len() {
            true => "every profile can be tested here".to_owned(),
            false => format!("{} can be tested here", names.join(" and ")),
        };
        let so = match cards::quarantined(&cards) {
            Some(sick) => format!("{so}; quarantined: {sick}"),
            None => so,
        };
        Findings {
            commit: build::COMMIT,
            requirements: embedded.spec.requirements().len(),
            cases: embedded.cases.cases().len(),
            nvml: cards.first().map(|card| card.nvml.clone()),
            cards,
            machine,
            profiles,
            so,
        }
    }

    fn text(&self) -> String {
        let machine = &self.machine;
        let gpu = match (&machine.gpu, &machine.driver) {
            (Some(name), driver) => format!("{name}, driver {}", driver.as_deref().unwrap_or("?")),
            (None, _) => format!("none: {}", reason(machine)),
        };
        let processor = format!("{} ({} cores)", machine.processor, machine.cores);
        let lines = vec![
            ("commit", self.commit.to_owned()),
            ("requirements", self.requirements.to_string()),
            ("cases", self.cases.to_string()),
            ("system", machine.system.clone()),
            ("processor", processor),
            ("memory", format!("{} bytes", machine.memory_bytes)),
            ("gpu", gpu),
        ];
        let mut lines: Vec<(String, String)> =
            lines.into_iter().map(|(label, text)| (label.to_owned(), text)).collect();
        lines.extend(self.cards.iter().flat_map(Card::lines));
        lines.push(("so".to_owned(), self.so.clone()));
        lines.into_iter().map(|(label, text)| format!("{label:12} {text}\n")).collect()
    }
}

fn reason(machine: &Machine) -> &str {
    machine.gpu_error.as_deref().unwrap_or("no reason given")
}
