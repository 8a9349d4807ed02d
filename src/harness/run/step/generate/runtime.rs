//! Measures a GGUF runtime on the same weights, the same device and the same clock as the loader.

use std::mem;
use std::sync::Arc;

use super::clock;
use crate::contract::capability::{self, Capability};
use crate::contract::inference::{Compute, Head, Inference};
use crate::contract::reply::Reply;
use crate::contract::request::{self, DtypePolicy, Format, Request};
use crate::harness::case::generate::Throughput;
use crate::harness::case::model::ModelSource;
use crate::harness::client::{Bounds, Broken, Client, GOODBYE, HELLO, Pipe, greet};
use crate::harness::run::case_run::model::PlacedModel;
use crate::harness::run::case_run::{CaseEnd, CaseRun, FixtureOnDisk, Model, summary};

/// What it must be able to do.
const NEEDED: [Capability; 2] = [Capability::FormatGguf, Capability::Generate];

/// Why a run without a GGUF runtime compares with none.
pub const NO_RUNTIME: &str = "needs a GGUF runtime to compare with: --gguf-runtime MANIFEST";

/// Seconds that the run's GGUF runtime takes for a token of a model's weights.
///
/// # Errors
/// [`CaseEnd::Untested`] if the run has no GGUF runtime, or if the runtime fails. That is not a
/// fault of the loader.
pub fn per_token(case_run: &mut CaseRun<'_>, step: &Throughput) -> Result<f64, CaseEnd> {
    let Some(manifest) = &case_run.context.setting.gguf_runtime else {
        return Err(CaseEnd::Untested(NO_RUNTIME.to_owned()));
    };
    let setting = &case_run.context.setting;
    let spawn = setting.spawn(manifest).map_err(|error| CaseEnd::Fault(error.to_string()))?;
    let mut client = Pipe::start(&spawn).map_err(|broken| lost(&broken, ""))?;
    let timed = beside(case_run, step, &mut client);
    let words = client.last_words();
    let _ending = Box::new(client).end(GOODBYE);
    timed.map_err(|stop| match stop {
        CaseEnd::Untested(why) => CaseEnd::Untested(why),
        CaseEnd::Broken(broken) => lost(&broken, &words),
        CaseEnd::Fault(why) => CaseEnd::Fault(why),
        CaseEnd::Failed => {
            CaseEnd::Untested("the GGUF runtime: the wrong number of tokens".to_owned())
        }
    })
}

fn beside(
    case_run: &mut CaseRun<'_>,
    step: &Throughput,
    client: &mut Pipe,
) -> Result<f64, CaseEnd> {
    let bounds = Bounds::within(HELLO);
    let own = greet(client, &case_run.context.setting.scratch, &bounds).map_err(CaseEnd::Broken)?;
    if let Some(needed) = NEEDED.into_iter().find(|needed| !own.capabilities[needed].supported) {
        let name = capability::name(needed);
        return Err(CaseEnd::Untested(format!("the GGUF runtime {} has no {name}", own.name)));
    }
    // The file is written only for a runtime that can read it, because that takes long at full
    // size.
    let file = case_run.model(&step.model)?.file.clone();
    let placed = case_run.gathering(|case_run| {
        let of = ModelSource::default();
        let source = ModelSource { format: Format::Gguf, ..ModelSource::default() };
        case_run
            .placed_model(&file)?
            .again(&of, &source, case_run.folder())
            .map_err(|error| CaseEnd::Fault(error.to_string()))
    })?;
    case_run.begin(format!("time {} {} with the same weights", own.name, own.version));
    let mut other = CaseRun::new(
        case_run.context,
        case_run.case,
        &own,
        client,
        case_run.folder(),
        case_run.work(),
    );
    other.placed = mem::take(&mut case_run.placed);
    let timed = load(&mut other, &placed).and_then(|(handle, loaded)| {
        let (fixture, path) = (Arc::clone(&placed.fixture), placed.weights.clone());
        let (from, asked) = (FixtureOnDisk { fixture, path }, other.device());
        let model = Model { handle, file, from, keep: DtypePolicy::Stored, asked, loaded };
        other.loaded.insert(step.model.clone(), model);
        clock::per_token(&mut other, &step.model, step.prompt, step.tokens)
    });
    case_run.placed = mem::take(&mut other.placed);
    timed
}

fn load(
    other: &mut CaseRun<'_>,
    placed: &PlacedModel,
) -> Result<(u64, crate::contract::reply::Loaded), CaseEnd> {
    let request = request::Load {
        path: placed.weights.clone(),
        format: Format::Gguf,
        device: other.device(),
        keep: DtypePolicy::Stored,
        expect_sha256: None,
        seal: None,
        admit: false,
        parallel: None,
        inference: Some(Inference {
            config: None,
            tokenizer: None,
            template: None,
            generation: None,
            head: Head::Logits {},
            compute: Compute::Exact,
        }),
    };
    let bytes = placed.fixture.bytes.len() as u64;
    match other.ask(Request::Load(request), bytes)? {
        Ok(Reply::Load(loaded)) => Ok((loaded.handle, loaded)),
        Ok(reply) => Err(CaseEnd::Untested(format!("the GGUF runtime: a {} reply", reply.verb()))),
        Err(failure) => Err(CaseEnd::Untested(format!("the GGUF runtime: {}", summary(&failure)))),
    }
}

/// What became of it, with the last line that it wrote to stderr.
fn lost(broken: &Broken, words: &str) -> CaseEnd {
    CaseEnd::Untested(format!("the GGUF runtime: {broken}{words}"))
}
