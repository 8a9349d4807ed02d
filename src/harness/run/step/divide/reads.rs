//! Counts the bytes that a loader and all that it has started read during a load.

use crate::harness::evidence::reads::read_by;
use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// What the machine may read, as a multiple of the model.
const MOST: f64 = 1.05;

/// Bytes that a loader may read besides: configuration, headers, and what its libraries open.
const SLACK: u64 = 4 << 20;

/// The count before a load.
pub struct Reads(u64);

impl Reads {
    /// Reads the counters.
    ///
    /// # Errors
    /// [`CaseEnd::Untested`] if the kernel does not show them.
    pub fn begin(case_run: &CaseRun<'_>) -> Result<Reads, CaseEnd> {
        Ok(Reads(read_by(&case_run.family()?).map_err(CaseEnd::Untested)?))
    }

    /// Checks what was read since then.
    ///
    /// # Errors
    /// [`CaseEnd::Failed`] where more was read; [`CaseEnd::Untested`] if the kernel does not show the counters.
    pub fn end(self, case_run: &mut CaseRun<'_>, file: &str) -> Result<(), CaseEnd> {
        let read = read_by(&case_run.family()?).map_err(CaseEnd::Untested)?.saturating_sub(self.0);
        let model = case_run.file(file)?.fixture.bytes.len() as u64;
        let times = read.saturating_sub(SLACK) as f64 / model as f64;
        let texts = |digits: Digits| (format!("at most {MOST}"), digits.fixed(times, 3));
        case_run.check(Check::measured(
            "bytes read beyond 4 MiB, by those of the model",
            texts,
            Basis::Observed,
        ))
    }
}
