//! The file of an audit. It is written again after each mutant, so that an interrupted run leaves
//! its results.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::CommandError;
use crate::cli::stamp::Stamp;
use crate::cli::weighing::with_ending;
use crate::harness::audit::Matrix;
use crate::harness::case::Case;
use crate::harness::record::write_whole;
use crate::mutants;

/// Format of the JSON.
const FORMAT: &str = "weighbridge.audit/2";

/// A matrix, and the runs that it comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct File {
    /// [`FORMAT`].
    format: String,
    /// Build and machine of each run.
    runs: Vec<Stamp>,
    /// Whether each mutant ran only the cases that claim to kill it.
    claimed: bool,
    /// Mutants that are not tried yet.
    pub(super) left: BTreeSet<String>,
    #[serde(flatten)]
    pub(super) matrix: Matrix,
}

impl File {
    /// The file of a run that has tested only the reference loader so far.
    pub(super) fn begin(
        began: Stamp,
        claimed: bool,
        left: BTreeSet<String>,
        matrix: Matrix,
    ) -> Self {
        File { format: FORMAT.to_owned(), runs: vec![began], claimed, left, matrix }
    }

    /// Joins several files into one that should have all mutants.
    ///
    /// # Errors
    /// A file that is not an audit, or that has another build or kind of run than the first.
    pub(super) fn join(paths: &[impl AsRef<Path>]) -> Result<Self, CommandError> {
        let mut joined: Option<File> = None;
        for path in paths {
            let path = path.as_ref();
            let wrong = |why: String| CommandError::usage(format!("{}: {why}", path.display()));
            let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let file: File = serde_json::from_slice(&text)
                .map_err(|error| wrong(format!("expected an audit as {FORMAT}: {error}")))?;
            if file.format != FORMAT {
                return Err(wrong(format!("expected {FORMAT}, found {}", file.format)));
            }
            joined = Some(match joined {
                None => file,
                Some(first) if first.claimed != file.claimed => {
                    return Err(wrong("this run used --claimed and the first did not, or the reverse\n  remedy: join runs of one kind".to_owned()));
                }
                Some(first) if first.binary() != file.binary() => {
                    return Err(wrong(
                        "from another binary than the first\n  remedy: join runs of one binary"
                            .to_owned(),
                    ));
                }
                Some(mut first) => {
                    first.runs.extend(file.runs);
                    first.matrix.join(file.matrix);
                    first
                }
            });
        }
        let mut joined = joined.ok_or_else(|| {
            CommandError::usage(
                "no file to join\n  remedy: name the JSON files that `audit --out` wrote"
                    .to_owned(),
            )
        })?;
        let names = mutants::names();
        joined.matrix.rows.sort_by_key(|row| names.iter().position(|name| *name == row.mutant));
        let has = |name: &&str| joined.matrix.rows.iter().any(|row| row.mutant == *name);
        joined.left =
            names.iter().filter(|name| !has(name)).map(|name| (*name).to_owned()).collect();
        Ok(joined)
    }

    fn binary(&self) -> Option<&str> {
        self.runs.first().map(|run| run.binary.as_str())
    }

    /// As text: its origin, one line for each mutant, then what is missing.
    pub(super) fn text(&self, cases: &[Case]) -> String {
        let mut text = String::new();
        for run in &self.runs {
            text += &format!("audit    {}\nmachine  {}\n", run.origin(), run.place());
        }
        let which = if self.claimed { "those that claim to kill a mutant" } else { "all" };
        text += &format!("cases    {which}\n\n");
        text += &self.matrix.text();
        if self.matrix.rows.len() == mutants::all().count() {
            for case in self.matrix.idle_cases(cases) {
                text += &format!("killed nothing here: {case}\n");
            }
        }
        for name in &self.left {
            text += &format!("not reached: {name}\n");
        }
        text + &format!("{}\n", self.matrix.summary())
    }

    /// As JSON.
    ///
    /// # Errors
    /// None that is known.
    pub(super) fn json(&self) -> Result<String, CommandError> {
        serde_json::to_string_pretty(self).map_err(CommandError::harness)
    }

    /// Writes both.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub(super) fn write(&self, prefix: &Path, cases: &[Case]) -> Result<(), CommandError> {
        for (ending, content) in [("txt", self.text(cases)), ("json", self.json()?)] {
            let path = with_ending(prefix, ending);
            write_whole(&path, content.as_bytes()).map_err(CommandError::harness)?;
        }
        Ok(())
    }
}
