//! The lines of a journal.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::harness::record::{CaseRecord, Part, RequirementRow, Subject, Table, Verdict};

/// Name and version of the journal's format. A reader refuses any but this and [`EARLIER_FORMAT`].
pub const FORMAT: &str = "weighbridge.journal/2";

/// The format before lines had a chain, and checks a relation. It can be read, and not be gone on with.
pub const EARLIER_FORMAT: &str = "weighbridge.journal/1";

/// The reason of a case that did not finish because its run was interrupted.
pub const INTERRUPTED: &str = "run was interrupted";

/// What is known when a run begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`] or [`EARLIER_FORMAT`].
    pub format: String,
    /// What is tested, with which suite.
    pub subject: Subject,
    /// The run, as far as it is known at its start.
    pub part: Part,
    /// Every requirement of the spec.
    pub requirements: Vec<RequirementRow>,
    /// Every scheduled case.
    pub scheduled: Vec<Scheduled>,
    /// The suite's classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Table>,
    /// What else a resumed run needs to be the same run. Missing in journals that cannot be resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Options>,
}

/// How the run was started, as far as the part does not say it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The loader's manifest; `None` for the bundled reference.
    pub loader: Option<PathBuf>,
    /// SHA-256 over the loader's manifest, program and files named in its command.
    pub loader_sha256: String,
    /// The run's own checkpoint.
    pub model: Option<PathBuf>,
    /// Manifest of the GGUF loader that speeds are compared with.
    pub gguf_runtime: Option<PathBuf>,
    /// Longest wait for an answer, in seconds.
    pub patience: f64,
    /// Longest wait for all answers, in seconds, if it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<f64>,
    /// Number of worker processes, if it was given.
    pub jobs: Option<usize>,
}

/// A scheduled case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheduled {
    /// `REQUIREMENT::name`.
    pub id: String,
    /// Id of the requirement.
    pub requirement: String,
    /// What the case tries, in one sentence.
    pub tries: String,
    /// A command that repeats the case.
    pub repeat: String,
}

impl Header {
    /// The header of a run.
    pub fn new(
        subject: Subject,
        part: Part,
        requirements: Vec<RequirementRow>,
        scheduled: Vec<Scheduled>,
    ) -> Self {
        let format = FORMAT.to_owned();
        Header { format, subject, part, requirements, scheduled, classes: None, options: None }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    Header(Box<Header>),
    Case(Box<Finished>),
    Part(Box<Part>),
    Resumed(Box<Part>),
    Footer(Footer),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finished {
    /// Seconds since the header was written.
    pub(super) at_seconds: f64,
    pub(super) case: CaseRecord,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Footer {
    pub(super) cases: u64,
    pub(super) by_verdict: BTreeMap<Verdict, u64>,
    pub(super) sha256: String,
}
