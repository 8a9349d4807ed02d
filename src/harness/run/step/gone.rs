//! What a loader still holds when its file is gone, and what it still gives when its model is.

use std::fs;

use super::forward::{batch, input_seed};
use super::load::refusal::{refused, wanted};
use crate::contract::Capability;
use crate::contract::generation::{Prompt, Sampling};
use crate::contract::inference::{Input, OutputKind};
use crate::contract::request::{self, Request};
use crate::harness::case::cheat::{Gone, Remove};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};

/// Removes a file, or every weight file of a model.
pub fn remove(attempt: &mut Attempt<'_>, step: &Remove) -> Result<(), Stop> {
    attempt.begin(format!("remove {} from the disk", step.file));
    attempt.gathering(|attempt| {
        let fault = |error: std::io::Error| Stop::Fault(format!("removing {}: {error}", step.file));
        let path = attempt.file(&step.file)?.path.clone();
        fs::remove_file(&path).map_err(fault)?;
        let Some(model) = attempt.encoders.get(&step.file) else { return Ok(()) };
        for entry in fs::read_dir(&model.folder).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            if path.extension().is_some_and(|ending| ending == "safetensors") {
                fs::remove_file(path).map_err(fault)?;
            }
        }
        Ok(())
    })
}

/// Asks everything that the loader serves of a model that was unloaded.
pub fn gone(attempt: &mut Attempt<'_>, step: &Gone) -> Result<(), Stop> {
    attempt.begin(format!("ask everything of {}, which was unloaded", step.model));
    for request in requests(attempt, step)? {
        let verb = request.verb();
        match attempt.ask(request, 0)? {
            Err(failure) => refused(attempt, &step.refused, &failure)?,
            Ok(_) => {
                let wanted = wanted(&step.refused);
                let what = format!("answer to {verb}");
                attempt.check(Check::of(what, wanted, "served", false, Basis::Observed))?;
            }
        }
    }
    attempt.check_nothing_left()
}

fn requests(attempt: &mut Attempt<'_>, step: &Gone) -> Result<Vec<Request>, Stop> {
    let unknown = || Stop::Fault(format!("no such model unloaded: {}", step.model));
    let gone = attempt.gone.get(&step.model).ok_or_else(unknown)?;
    let (handle, on_gpu) = (gone.handle, gone.loaded.device.is_gpu());
    let serves = |capability: Capability| {
        let support = attempt.introduction.capabilities.get(&capability);
        support.is_some_and(|support| support.supported)
    };
    let mut all = vec![Request::Unload(request::Unload { handle })];
    if serves(Capability::Read) {
        all.push(Request::Read(request::Read { handle, into: attempt.scratch_file() }));
    }
    if on_gpu && serves(Capability::Export) {
        all.push(Request::Export(request::Export { handle }));
    }
    let Some(model) = attempt.encoders.get(&gone.file) else { return Ok(all) };
    let logits = model.gives() == OutputKind::Logits;
    if serves(if logits { Capability::Logits } else { Capability::Embedding }) {
        // The very input that it answered while it was there, where that has a name.
        let seed = input_seed(attempt, step.input.as_deref());
        let (input, into) = (attempt.scratch_file(), attempt.scratch_file());
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
