//! The step that asks a loader to leave, and what is looked at afterwards.

use serde::Deserialize;

/// Sends `bye` and looks at how the process ends and at what remains of it. No step follows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// What is looked at.
    pub look_at: Vec<Remains>,
}

/// What is looked at when a loader was asked to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remains {
    /// It answers `bye`, and exits by itself with status 0.
    Exit,
    /// It writes nothing more to stdout after its answer.
    Output,
    /// What it has started ends with it.
    Processes,
    /// Its own folder is empty, and shared memory where it has one of its own; beside the case's files there
    /// is nothing new.
    Files,
}
