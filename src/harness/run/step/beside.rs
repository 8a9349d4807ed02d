//! Steps about a second process of the loader: it is stopped in the middle of a load, so that the case can see what the
//! first process answers meanwhile, and then goes on.
//!
//! A load that is over before the process could be stopped keeps nobody waiting, so there was nothing to try. What both
//! processes hold is compared all the same.

use crate::contract::reply::Reply;
use crate::contract::request::{self, DtypePolicy};
use crate::contract::{Capability, Device};
use crate::harness::case::beside::LoadBeside;
use crate::harness::case::step::Route;
use crate::harness::record::{Basis, Check, NO_OBJECT, OVER};
use crate::harness::run::case_run::beside::Answer;
use crate::harness::run::case_run::{CaseEnd, CaseRun, view};
use crate::harness::run::step::{keep, loaded_bytes};

/// Loads after which a load is taken for one that cannot be stopped.
const ATTEMPTS: u32 = 8;

/// What the model of the second process is called.
const MODEL: &str = "model";

/// What is checked of a load that was asked for.
const LOAD_OF_SECOND: &str = "the load of the second process";

/// Asks the second process for a load, and stops it in the middle.
pub fn load_beside(case_run: &mut CaseRun<'_>, step: &LoadBeside) -> Result<(), CaseEnd> {
    let device = match step.next_card {
        true => view::next_card(case_run.device())?,
        false => case_run.device(),
    };
    case_run.begin(format!("load {} in a second process to {device}", step.file));
    case_run.start_beside()?;
    let load = request(case_run, &step.file, device)?;
    let mut stopped = false;
    for attempt in 0..ATTEMPTS {
        case_run.with_beside(|other| other.unload_rest())?;
        let Some(answer) = case_run.ask_beside(&step.file, &load, attempt)? else {
            stopped = true;
            break;
        };
        hold(case_run, &step.file, device, answer)?;
    }
    if !stopped {
        let why = format!("{NO_OBJECT}the load of {} was {OVER}, {ATTEMPTS} times", step.file);
        case_run.no_object.get_or_insert(why);
    }
    let found = if stopped { "stopped in the middle" } else { OVER };
    case_run.check(Check::judged(
        LOAD_OF_SECOND,
        "stopped in the middle, or over before it could be stopped",
        Ok(found.to_owned()),
        Basis::Observed,
    ))
}

/// Lets the load go on to its end, and compares what the second process holds.
pub fn compare_beside(case_run: &mut CaseRun<'_>) -> Result<(), CaseEnd> {
    case_run.begin("compare what the second process holds");
    if let Some((file, device, answer)) = case_run.answer_beside()? {
        hold(case_run, &file, device, answer)?;
    }
    case_run.with_beside(|other| {
        let model = other.model(MODEL)?;
        let (asked, told) = (model.asked, model.loaded.device);
        other.check(Check::equal("device", asked, told, Basis::Declared))?;
        loaded_bytes::compare_all(other, MODEL, Route::Auto)
    })
}

/// Keeps what the second process says it has loaded.
fn hold(
    case_run: &mut CaseRun<'_>,
    file: &str,
    device: Device,
    answer: Answer,
) -> Result<(), CaseEnd> {
    let loaded = match answer {
        Ok(Reply::Load(loaded)) => loaded,
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to load", other.verb()))),
        Err(failure) => {
            return case_run.with_beside(|other| Err(other.not_loaded(file, &failure)));
        }
    };
    case_run.with_beside(|other| {
        keep::keep(other, (file, MODEL), (DtypePolicy::Stored, device), &loaded)
    })
}

/// A load as a case asks for it that wants nothing particular.
fn request(case_run: &CaseRun<'_>, file: &str, device: Device) -> Result<request::Load, CaseEnd> {
    let known = case_run.placed.get(file);
    Ok(request::Load {
        path: case_run.file(file)?.path.clone(),
        format: known.map(|model| model.format).unwrap_or_default(),
        device,
        keep: DtypePolicy::Stored,
        expect_sha256: None,
        seal: None,
        admit: case_run.serves(Capability::Gates),
        parallel: None,
        inference: known.map(|model| model.inference()),
    })
}
