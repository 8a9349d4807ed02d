//! Steps that remove a file under a loaded model, and that use a model after it was unloaded.

use std::fs;

use super::batch;
use super::refusal::{refused, wanted};
use crate::contract::Capability;
use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::{Input, OutputKind};
use crate::contract::request::{self, Request};
use crate::harness::case::cheat::{Remove, UseAfterUnload};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Removes a file, or every weight file of a model.
pub fn remove(case_run: &mut CaseRun<'_>, step: &Remove) -> Result<(), CaseEnd> {
    case_run.begin(format!("remove {} from the disk", step.file));
    case_run.gathering(|case_run| {
        let fault =
            |error: std::io::Error| CaseEnd::Fault(format!("removing {}: {error}", step.file));
        let path = case_run.file(&step.file)?.path.clone();
        case_run.will_change(&path);
        fs::remove_file(&path).map_err(fault)?;
        let Some(model) = case_run.placed.get(&step.file).cloned() else { return Ok(()) };
        case_run.will_change(&model.folder);
        for entry in fs::read_dir(&model.folder).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            if path.extension().is_some_and(|ending| ending == "safetensors") {
                fs::remove_file(path).map_err(fault)?;
            }
        }
        Ok(())
    })
}

/// Sends every request that the loader serves for a model that was unloaded.
pub fn use_after_unload(case_run: &mut CaseRun<'_>, step: &UseAfterUnload) -> Result<(), CaseEnd> {
    case_run.begin(format!("send every request for {}, which was unloaded", step.model));
    for request in requests(case_run, step)? {
        let verb = request.verb();
        match case_run.ask(request, 0)? {
            Err(failure) => refused(case_run, &step.refused, &failure)?,
            Ok(_) => {
                let wanted = wanted(&step.refused);
                let what = format!("answer to {verb}");
                case_run.check(Check::broken(what, wanted, "served", Basis::Observed))?;
            }
        }
    }
    case_run.check_nothing_left()
}

fn requests(case_run: &mut CaseRun<'_>, step: &UseAfterUnload) -> Result<Vec<Request>, CaseEnd> {
    let unknown = || CaseEnd::Fault(format!("no such model unloaded: {}", step.model));
    let unloaded = case_run.unloaded.get(&step.model).ok_or_else(unknown)?;
    let (handle, on_gpu) = (unloaded.handle, unloaded.loaded.device.is_gpu());
    let serves = |capability: Capability| {
        let support = case_run.introduction.capabilities.get(&capability);
        support.is_some_and(|support| support.supported)
    };
    let mut all = vec![Request::Unload(request::Unload { handle })];
    if serves(Capability::Read) {
        all.push(Request::Read(request::Read {
            handle,
            into: case_run.scratch_file(),
            rank: None,
        }));
    }
    if on_gpu && serves(Capability::Export) {
        all.push(Request::Export(request::Export { handle, rank: None }));
    }
    let Some(model) = case_run.placed.get(&unloaded.file) else { return Ok(all) };
    let logits = model.gives() == OutputKind::Logits;
    if serves(if logits { Capability::Logits } else { Capability::Embedding }) {
        // If the input has a name, it is the input that the model ran on while it was loaded.
        let seed = batch::seed(case_run, step.input.as_deref());
        let (input, into) = (case_run.input_file(), case_run.scratch_file());
        batch::write(&batch::random(&model.recipe, 3, None, seed), &input)?;
        let input = Input::File(input);
        all.push(Request::Forward(request::Forward { handle, input, into, trace: false }));
    }
    if logits && serves(Capability::Generate) {
        all.push(Request::Generate(request::Generate {
            handle,
            prompt: Prompt::Tokens(vec![1, 2, 3]),
            limit: 2,
            sampling: Sampling::GREEDY,
            into: None,
        }));
    }
    Ok(all)
}
