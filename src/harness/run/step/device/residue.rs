//! The step that looks at what the loader has left behind.

use crate::harness::case::step::Left;
use crate::harness::evidence::memory::{maps_of, used_by};
use crate::harness::evidence::residue::{differences, listing};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun, Residues};

/// What the loader's family and the case's folder have now.
pub fn now(case_run: &CaseRun<'_>) -> Result<Residues, CaseEnd> {
    let used = used_by(&case_run.family()?);
    let files = listing(case_run.folder());
    let files = files.map_err(|error| CaseEnd::Fault(format!("the case's folder: {error}")))?;
    let maps = maps_of(files.keys(), &case_run.family()?);
    Ok(Residues { used, maps, files })
}

/// Compares what is there with a mark.
pub fn left(case_run: &mut CaseRun<'_>, step: &Left) -> Result<(), CaseEnd> {
    case_run.begin(format!("look at what was left since {}", step.since));
    let before = case_run.residues.get(&step.since).cloned();
    let before = before.ok_or_else(|| CaseEnd::Fault(format!("no such mark: {}", step.since)))?;
    let now = now(case_run)?;
    let found = match step.files {
        true => differences(&before.files, &now.files),
        false => Vec::new(),
    };
    if step.files {
        let found = (!found.is_empty()).then(|| found.join(", "));
        let what = "files of the case";
        case_run.check(Check::absent(what, "as they were", found, Basis::Observed))?;
    }
    let (was, is) = both(before.used, now.used)?;
    let maps = both(before.maps, now.maps)?;
    let more = [
        ("descriptors", was.descriptors, is.descriptors),
        ("threads", was.threads, is.threads),
        ("processes", was.processes, is.processes),
        ("maps of the case's files", maps.0, maps.1),
    ];
    for (what, was, is) in more {
        let most = was + step.most;
        case_run.check(Check::within(
            format!("{what} of the loader and all that it has started, {was} then"),
            format!("at most {most}"),
            is,
            Basis::Observed,
        ))?;
    }
    Ok(())
}

/// Both figures.
fn both<T>(was: Result<T, String>, is: Result<T, String>) -> Result<(T, T), CaseEnd> {
    match (was, is) {
        (Ok(was), Ok(is)) => Ok((was, is)),
        (Err(why), _) | (_, Err(why)) => Err(CaseEnd::Untested(why)),
    }
}
