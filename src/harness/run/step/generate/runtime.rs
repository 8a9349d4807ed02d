//! A GGUF runtime beside the loader: the same weights, on the same device, by the same clock.

use std::mem;
use std::sync::Arc;

use super::pace;
use crate::contract::capability::{self, Capability};
use crate::contract::inference::{Head, Inference};
use crate::contract::reply::Reply;
use crate::contract::request::{self, Format, Keep, Request};
use crate::harness::case::forward::ModelSource;
use crate::harness::case::generate::Pace;
use crate::harness::client::{Bounds, Broken, Client, GOODBYE, HELLO, Pipe, greet};
use crate::harness::run::PlacedModel;
use crate::harness::run::case_run::{Attempt, Model, Placed, Stop, summary};
use crate::harness::run::step::forward::known;

/// What it must be able to do.
const NEEDED: [Capability; 2] = [Capability::FormatGguf, Capability::Generate];

/// Seconds that the run's GGUF runtime takes for a token of a model's weights.
///
/// # Errors
/// Untested where the run has none, or it cannot: that is no fault of the loader's.
pub fn per_token(attempt: &mut Attempt<'_>, step: &Pace) -> Result<f64, Stop> {
    let Some(manifest) = &attempt.lab.setting.gguf_runtime else {
        let why = "needs a GGUF runtime beside it: --gguf-runtime MANIFEST";
        return Err(Stop::Untested(why.to_owned()));
    };
    let mut spawn = manifest.spawn(&attempt.lab.setting.scratch);
    spawn.log = spawn.scratch.join(format!("stderr-{:016x}.log", rand::random::<u64>()));
    let mut client = Pipe::start(&spawn).map_err(lost)?;
    let timed = beside(attempt, step, &mut client);
    let _ending = Box::new(client).end(GOODBYE);
    timed.map_err(|stop| match stop {
        Stop::Untested(why) => Stop::Untested(why),
        Stop::Broken(broken) => lost(broken),
        Stop::Fault(why) => Stop::Fault(why),
        Stop::Failed => Stop::Untested("the GGUF runtime: other tokens than asked for".to_owned()),
    })
}

fn beside(attempt: &mut Attempt<'_>, step: &Pace, client: &mut Pipe) -> Result<f64, Stop> {
    let bounds = Bounds::within(HELLO);
    let own = greet(client, &attempt.lab.setting.scratch, &bounds).map_err(Stop::Broken)?;
    if let Some(needed) = NEEDED.into_iter().find(|needed| !own.capabilities[needed].supported) {
        let name = capability::name(needed);
        return Err(Stop::Untested(format!("the GGUF runtime {} has no {name}", own.name)));
    }
    // Written only for one that can read it: at full size that takes a while.
    let file = attempt.model(&step.model)?.file.clone();
    let placed = attempt.gathering(|attempt| {
        let of = ModelSource::default();
        let source = ModelSource { format: Format::Gguf, ..ModelSource::default() };
        known(attempt, &file)?
            .again(&of, &source, attempt.folder())
            .map_err(|error| Stop::Fault(error.to_string()))
    })?;
    attempt.begin(format!("take the time of {} {} over the same weights", own.name, own.version));
    let mut other = Attempt::new(attempt.lab, attempt.case, &own, client, attempt.folder());
    other.encoders = mem::take(&mut attempt.encoders);
    let timed = load(&mut other, &placed).and_then(|(handle, loaded)| {
        let (fixture, path) = (Arc::clone(&placed.fixture), placed.weights.clone());
        let from = Placed { fixture, path };
        let model = Model { handle, file, from, keep: Keep::Stored, loaded };
        other.models.insert(step.model.clone(), model);
        pace::per_token(&mut other, &step.model, step.prompt, step.tokens)
    });
    attempt.encoders = mem::take(&mut other.encoders);
    timed
}

fn load(
    other: &mut Attempt<'_>,
    placed: &PlacedModel,
) -> Result<(u64, crate::contract::reply::Loaded), Stop> {
    let request = request::Load {
        path: placed.weights.clone(),
        format: Format::Gguf,
        device: other.device(),
        keep: Keep::Stored,
        expect_sha256: None,
        seal: None,
        admit: false,
        inference: Some(Inference {
            config: None,
            tokenizer: None,
            template: None,
            generation: None,
            head: Head::Logits {},
        }),
    };
    let bytes = placed.fixture.bytes.len() as u64;
    match other.ask(Request::Load(request), bytes)? {
        Ok(Reply::Load(loaded)) => Ok((loaded.handle, loaded)),
        Ok(reply) => Err(Stop::Untested(format!("the GGUF runtime: a {} reply", reply.verb()))),
        Err(failure) => Err(Stop::Untested(format!("the GGUF runtime: {}", summary(&failure)))),
    }
}

fn lost(broken: Broken) -> Stop {
    Stop::Untested(format!("the GGUF runtime: {broken}"))
}
