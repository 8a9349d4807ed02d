//! What a report says of its subject, of each run and of its machine, as rows of two columns.

use super::text::{Table, count, size};
use super::{outcome, parts};
use crate::harness::record::{Health, Part, ProgramFile, Subject};

/// So many files of a loader's program are shown; all of them are in the JSON report.
const FILES: usize = 8;

/// What was tested, with which suite.
pub fn subject(subject: &Subject) -> Vec<(&'static str, String)> {
    vec![
        ("loader", format!("{} {}", subject.loader, subject.loader_version)),
        ("suite", subject.suite.clone()),
        ("commit", subject.commit.clone()),
        ("profile", subject.profile.clone()),
        ("SHA-256 of the binary", subject.binary.clone()),
        ("SHA-256 of the spec", subject.spec.clone()),
        ("SHA-256 of the cases", subject.cases.clone()),
        ("SHA-256 of the fixtures", subject.fixtures.clone()),
    ]
}

/// One run: its machine, its device, and how the loader was started.
pub fn part(part: &Part) -> Vec<(&'static str, String)> {
    let mut rows = machine(part);
    if let Some(isolation) = outcome::isolation(part) {
        rows.push(("isolation of the loader", isolation));
    }
    if let Some(waiting) = outcome::waiting(part) {
        rows.push(("waiting for the loader", waiting));
    }
    if part.unjournalled > 0 {
        rows.push(("decided cases that the journal lacks", part.unjournalled.to_string()));
    }
    if let Some(card) = outcome::card(part) {
        rows.push(("health of the GPU", card));
    }
    if let Some(error) = &part.machine.gpu_error {
        rows.push(("why there is no GPU", error.clone()));
    }
    rows.push(("selection", part.selection.clone().unwrap_or("everything".to_owned())));
    rows.extend(parts::place(part).map(|place| ("plan", place)));
    let synthetic = match part.synthetic.as_slice() {
        [] => "nothing".to_owned(),
        some => some.join("; "),
    };
    rows.push(("synthetic", synthetic));
    rows.extend(program(part));
    rows.push(("loader processes", part.processes.to_string()));
    if let Some(measured) = outcome::measured(part) {
        rows.push(("measured", measured));
    }
    rows
}

fn machine(part: &Part) -> Vec<(&'static str, String)> {
    let machine = &part.machine;
    let named = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let cores = count(machine.cores, "core", "cores");
    let mut rows = vec![
        ("began", format!("{}, took {:.1} s", part.started, part.seconds)),
        ("seed", outcome::seed(part)),
        ("device", part.device.clone()),
        ("system", machine.system.clone()),
        ("processor", format!("{}, {cores}, {}", machine.processor, size(machine.memory_bytes))),
        ("GPU", named(&machine.gpu)),
        ("driver", named(&machine.driver)),
    ];
    if let Some(commitment) = &part.commitment {
        rows.push(("SHA-256 of salt and seed, told at first", commitment.sha256.clone()));
        rows.push(("salt", commitment.salt.clone()));
    }
    if let Some(uuid) = &machine.gpu_uuid {
        rows.push(("UUID of the GPU", uuid.clone()));
    }
    rows
}

/// The loader's command, files, environment and lacks.
fn program(part: &Part) -> Vec<(&'static str, String)> {
    let mut rows = vec![("command", part.command.join(" "))];
    if !part.program.is_empty() {
        let file = |file: &ProgramFile| format!("{} {}", file.name, file.sha256);
        let files: Vec<String> = part.program.iter().take(FILES).map(file).collect();
        let more = part.program.len().saturating_sub(FILES);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        rows.push(("SHA-256 of the program", files.join("; ") + &more));
    }
    let environment: Vec<String> =
        part.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !environment.is_empty() {
        rows.push(("environment added", environment.join(" ")));
    }
    let lacking = part.capabilities.iter().filter(|(_, answer)| *answer != "yes");
    let unsupported: Vec<String> =
        lacking.map(|(name, answer)| format!("{name} ({answer})")).collect();
    if !unsupported.is_empty() {
        rows.push(("declared unsupported", unsupported.join("; ")));
    }
    rows
}

/// Every reading of a run's card.
pub fn health(health: &Health) -> Table {
    let mut table = Table::new(6, ["when", "reading", "found", "limit", "source", "state"]);
    for (when, readings) in [("before", &health.before), ("after", &health.after)] {
        for reading in readings {
            let (what, found) = (reading.what.as_str(), reading.found.as_str());
            let (limit, source) = (reading.limit.as_str(), reading.source.as_str());
            table.row([when, what, found, limit, source, reading.state.name()]);
        }
    }
    table
}
