//! Loads the thirteen models of the registry together. Each is loaded with a pinned digest and run
//! on its golden input. The harness measures the time.

use std::time::{Duration, Instant};

use crate::contract::inference::{Batch, Compute, Inference, Input, OutputKind, Pooling, State};
use crate::contract::registry::RegisteredModel;
use crate::contract::reply::Reply;
use crate::contract::request::{self, DtypePolicy, Request};
use crate::harness::case::forward::WholeSet;
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::model::registry::{self, Entry, Scale, golden_values};
use crate::harness::model::{HeadKind, file};
use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::{CaseEnd, CaseRun, oracle_fault};
use crate::harness::run::step::{batch, compare};

/// Loads the whole set.
pub fn whole_set(case_run: &mut CaseRun<'_>, step: &WholeSet) -> Result<(), CaseEnd> {
    let entries = registry::models().map_err(oracle_fault)?;
    let scale = step.scale.name();
    case_run.begin(format!("make the {scale} models"));
    let set = case_run.making(|case_run| {
        let setting = &case_run.context.setting;
        let folder = setting.cases().map_err(|error| error.to_string())?;
        setting.shared_models.set(step.scale, &folder)
    });
    let set = set.map_err(CaseEnd::Fault)?;
    let (mut total, mut loads, mut handles) = (Duration::ZERO, Duration::ZERO, Vec::new());
    for (entry, model) in entries.iter().zip(&set.models) {
        case_run.begin(format!("load {} and run it on its golden input", entry.id));
        let (handle, took) = load(case_run, model, &set.folder)?;
        handles.push(handle);
        let ran = run(case_run, entry, step, handle)?;
        loads += took;
        total += took + ran;
        if step.scale == Scale::Full {
            let name = format!("{}, seconds to load and run", entry.id);
            case_run.context.note(&name, (took + ran).as_secs_f64());
        }
    }
    case_run.begin("ask what is held");
    let held = match case_run.ask(Request::Stat(request::Stat {}), 0)? {
        Ok(Reply::Stat(held)) => held.models,
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to stat", other.verb()))),
        Err(failure) => return Err(case_run.unexpected("holdings", &failure)),
    };
    let wanted = (entries.len() + case_run.loaded.len()) as u64;
    case_run.check(Check::equal("models held at once", wanted, held, Basis::Declared))?;
    let seconds = total.as_secs_f64();
    if step.scale == Scale::Full {
        case_run.context.note("thirteen full models, seconds", seconds);
    }
    let within = |case_run: &mut CaseRun<'_>, what: &str, limit: Option<f64>, found: f64| {
        let Some(limit) = limit else { return Ok(()) };
        let texts =
            |digits: Digits| (format!("below {limit} s"), format!("{} s", digits.fixed(found, 2)));
        case_run.check(Check::measured(what, texts, Basis::Observed))
    };
    within(case_run, "time of all thirteen", step.within_s, seconds)?;
    let mean = loads.as_secs_f64() / entries.len() as f64;
    within(case_run, "mean time of a load", step.mean_within_s, mean)?;
    for handle in handles {
        if let Err(failure) = case_run.ask(Request::Unload(request::Unload { handle }), 0)? {
            return Err(case_run.unexpected("unloaded", &failure));
        }
    }
    case_run.check_nothing_left()
}

/// Loads one model with its digest pinned.
fn load(
    case_run: &mut CaseRun<'_>,
    model: &RegisteredModel,
    root: &std::path::Path,
) -> Result<(u64, Duration), CaseEnd> {
    let folder = root.join(&model.folder);
    // For several files, the digest is that over the digests of the files.
    let digests: Vec<&String> = model.sha256.values().collect();
    let pin = match digests.as_slice() {
        [one] => (*one).clone(),
        several => {
            sha256_hex(&several.iter().flat_map(|digest| bytes(digest)).collect::<Vec<u8>>())
        }
    };
    let request = request::Load {
        path: folder.join(&model.weights),
        format: request::Format::Safetensors,
        device: case_run.device(),
        keep: DtypePolicy::Stored,
        expect_sha256: Some(pin.clone()),
        seal: None,
        admit: true,
        parallel: None,
        inference: Some(Inference {
            config: Some(folder.join(file::CONFIG)),
            tokenizer: None,
            template: None,
            generation: None,
            head: model.head.clone(),
            compute: Compute::Exact,
        }),
    };
    // At full scale, a model may have some gigabytes.
    let began = Instant::now();
    let answer = case_run.ask(Request::Load(request), 4 << 30)?;
    let took = began.elapsed();
    match answer {
        Ok(Reply::Load(loaded)) => {
            let claimed = loaded.sha256.unwrap_or_default();
            case_run.check(Check::equal("digest", pin, claimed, Basis::Observed))?;
            Ok((loaded.handle, took))
        }
        Ok(other) => Err(CaseEnd::Fault(format!("a {} reply to load", other.verb()))),
        Err(failure) => Err(case_run.unexpected("loaded", &failure)),
    }
}

/// Runs a model on its golden input; the loader never sees the golden output.
fn run(
    case_run: &mut CaseRun<'_>,
    entry: &Entry,
    step: &WholeSet,
    handle: u64,
) -> Result<Duration, CaseEnd> {
    let golden = entry.golden(step.scale);
    let golden = golden.ok_or_else(|| CaseEnd::Fault(format!("{} has no golden", entry.id)))?;
    let input = golden_values(golden.input).map_err(oracle_fault)?;
    let values = golden_values(golden.output).map_err(oracle_fault)?;
    let columns = input.len();
    let (given, width) = match entry.output {
        HeadKind::Embedding(Pooling::None) => {
            (Batch::Vectors { rows: 1, columns, values: input }, values.len())
        }
        output => {
            let ids = input.iter().map(|id| *id as i64).collect();
            let mask = vec![1; columns];
            let width = if output == HeadKind::TokenStates { columns } else { values.len() };
            (Batch::Tokens { rows: 1, columns, ids, mask, types: Vec::new() }, width)
        }
    };
    let gives = entry.output.gives();
    let shape = match gives {
        OutputKind::TokenStates => vec![1, width, values.len() / width],
        _ => vec![1, width],
    };
    let wanted = State { name: gives.name().to_owned(), shape, values };
    let path = case_run.input_file();
    batch::write(&given, &path)?;
    let began = Instant::now();
    let given = batch::ask(case_run, (handle, gives), Input::File(path), false)?;
    let took = began.elapsed();
    match given {
        Ok(given) => {
            let tolerance = f64::from(entry.tolerance(step.scale));
            compare::golden(case_run, &entry.id, &given.output, &wanted, tolerance)?;
            Ok(took)
        }
        Err(failure) => Err(case_run.unexpected("an output", &failure)),
    }
}

/// A digest's bytes.
fn bytes(digest: &str) -> Vec<u8> {
    let digit = |at: usize| digest.as_bytes().get(at).and_then(|d| char::from(*d).to_digit(16));
    (0..digest.len() / 2)
        .filter_map(|i| Some((digit(2 * i)? * 16 + digit(2 * i + 1)?) as u8))
        .collect()
}
