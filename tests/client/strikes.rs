//! Which waits count against a loader: those at what every program may wait for do not, and the first answer
//! of a process may take longer.

use libtest_mimic::{Failed, Trial};
use weighbridge::harness::record::Verdict;

use super::weighed::weigh_all;
use super::{same, trial};

/// A case that any sound loader passes.
const SOUND: &str = "F-PARSE-037::readme_tensors";

/// A case with a FIFO.
const PIPE: &str = "F-ERR-091::named_pipe";

pub fn trials() -> Vec<Trial> {
    vec![
        trial("strikes/hang_at_a_pipe", hang_at_a_pipe),
        trial("strikes/hang_at_every_file", hang_at_every_file),
        trial("strikes/first_answer", first_answer),
        trial("strikes/later_answer", later_answer),
    ]
}

/// What the cases come to, with a patience in seconds.
fn verdicts(mode: &str, ids: &[&str], patience: f64) -> Result<Vec<Verdict>, Failed> {
    let records = weigh_all(mode, 0, ids, patience)?;
    Ok(records.iter().map(|record| record.verdict).collect())
}

/// However often the loader waits at a FIFO, the other cases are tried.
fn hang_at_a_pipe() -> Result<(), Failed> {
    let found = verdicts("waits_at_pipes", &[PIPE, PIPE, PIPE, PIPE, SOUND], 1.0)?;
    same(&found[..4], &[Verdict::Timeout; 4])?;
    same(found[4], Verdict::Pass)
}

/// A loader that answers nothing ends the run after three files.
fn hang_at_every_file() -> Result<(), Failed> {
    let found = verdicts("silent", &[PIPE, SOUND, SOUND, SOUND, SOUND], 0.3)?;
    same(&found[..4], &[Verdict::Timeout; 4])?;
    same(found[4], Verdict::Untested)
}

fn first_answer() -> Result<(), Failed> {
    same(verdicts("slow_first", &[SOUND], 2.0)?, vec![Verdict::Pass])
}

fn later_answer() -> Result<(), Failed> {
    same(verdicts("slow_second", &[SOUND], 2.0)?, vec![Verdict::Timeout])
}
