//! Asks the loader to leave, and judges how it ends and what remains of it.

use crate::harness::case::leave::{Leave, Remains};
use crate::harness::client::{Broken, Ending, Exit};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Names of files that a report shows.
const SHOWN: usize = 5;

/// Sends `bye`, waits for the end of everything that the loader has started, and checks.
pub fn leave(case_run: &mut CaseRun<'_>, step: &Leave) -> Result<(), CaseEnd> {
    case_run.begin("ask the loader to leave, and look at what remains");
    let ending = case_run.dismiss()?;
    for remains in &step.look_at {
        let check = match remains {
            Remains::Exit => exit(&ending),
            Remains::Output => output(&ending),
            Remains::Processes => processes(&ending)?,
            Remains::Files => files(case_run, &ending)?,
        };
        case_run.check(check)?;
    }
    Ok(())
}

fn observed(what: &str, expected: &str, found: Option<String>) -> Check {
    Check::absent(what, expected, found, Basis::Observed)
}

fn exit(ending: &Ending) -> Check {
    let of_others =
        matches!(ending.complaint, None | Some(Broken::Unsolicited { .. } | Broken::LeftBehind));
    let found = match &ending.complaint {
        _ if ending.answered && of_others && ending.exit == Some(Exit::Code(0)) => None,
        Some(complaint) => Some(complaint.to_string()),
        None => Some("no exit status".to_owned()),
    };
    observed("the end", "an answer to bye, then exit status 0", found)
}

fn output(ending: &Ending) -> Check {
    observed("output after the answer to bye", "nothing", ending.output.clone())
}

fn processes(ending: &Ending) -> Result<Check, CaseEnd> {
    let found = match (&ending.complaint, &ending.left) {
        (Some(Broken::StillRunning { .. }), _) => Some("the loader itself".to_owned()),
        (_, Some(left)) if left.processes == 0 => {
            let held_open = ending.complaint == Some(Broken::LeftBehind);
            held_open.then(|| "one that holds the loader's stdout open".to_owned())
        }
        (_, Some(left)) => Some(format!("{} ({})", left.processes, left.names.join(", "))),
        (_, None) => {
            let why = "nobody told which processes the loader had left";
            return Err(CaseEnd::Untested(why.to_owned()));
        }
    };
    Ok(observed("processes that outlive the loader", "none", found))
}

fn files(case_run: &CaseRun<'_>, ending: &Ending) -> Result<Check, CaseEnd> {
    let mut found = case_run.left_files().map_err(|error| {
        CaseEnd::Fault(format!("looking for what the loader has left: {error}"))
    })?;
    if let Some(left) = ending.left.as_ref().filter(|left| left.shared_memory_files > 0) {
        let (count, bytes) = (left.shared_memory_files, left.shared_memory_bytes);
        found.push(format!("{count} in shared memory, {bytes} bytes"));
    }
    let more = found.len().saturating_sub(SHOWN);
    found.truncate(SHOWN);
    let mut told = found.join(", ");
    if more > 0 {
        told.push_str(&format!(", and {more} more"));
    }
    Ok(observed("files left behind", "none", (!told.is_empty()).then_some(told)))
}
