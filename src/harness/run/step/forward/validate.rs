//! The loader's own validation against a golden reference: it must accept right ones and refuse
//! wrong ones.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::contract::reply::Reply;
use crate::contract::request::{self, Request};
use crate::harness::case::forward::{GoldenFlaw, Validate};
use crate::harness::model::registry::{self, golden_values};
use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::words::plain;
use crate::harness::run::case_run::{CaseEnd, CaseRun, oracle_fault};
use crate::harness::run::step::refusal::{refused, wanted};
use crate::harness::run::step::times::agrees;

/// Asks for a validation.
pub fn validate(case_run: &mut CaseRun<'_>, step: &Validate) -> Result<(), CaseEnd> {
    let (handle, file) = {
        let model = case_run.model(&step.model)?;
        (model.handle, model.file.clone())
    };
    case_run.begin(format!("validate {} with a golden, flaw: {}", step.model, plain(step.golden)));
    let seed = case_run.seed("golden");
    let (id, scale) = {
        let model = case_run.placed_model(&file)?;
        (model.id.clone(), model.scale)
    };
    let id =
        id.ok_or_else(|| CaseEnd::Fault("only models of the registry have goldens".to_owned()))?;
    let entry = registry::model(&id).map_err(oracle_fault)?;
    let tolerance = entry.tolerance(scale);
    let golden = entry.golden(scale);
    let golden = golden.ok_or_else(|| CaseEnd::Fault(format!("{id} has no golden")))?;
    let values = golden_values(golden.output).map_err(oracle_fault)?;
    let (input, output) = (case_run.input_file(), case_run.input_file());
    write(&input, golden.input.to_vec())?;
    if let Some(bytes) = flawed(&values, golden.output, step.golden, tolerance, seed) {
        write(&output, bytes)?;
    }
    let request = Request::Validate(request::Validate { handle, input, golden: output, tolerance });
    let began = Instant::now();
    let answer = case_run.ask(request, 0)?;
    let took = began.elapsed();
    match (answer, &step.refused) {
        (Ok(Reply::Validate(validated)), None) => {
            case_run.claim(serde_json::json!(validated));
            let count = values.len() as u64;
            case_run.check(Check::equal(
                "values compared",
                count,
                validated.values,
                Basis::Declared,
            ))?;
            let (device, ran) = (case_run.device_of(handle), validated.device);
            case_run.check(Check::equal("where it ran", device, ran, Basis::Declared))?;
            if step.golden == GoldenFlaw::MovedInside {
                // One value is known to be off by this much: a validation that reports less has
                // not compared it.
                let least = f64::from(tolerance) * 0.5;
                let found = f64::from(validated.max_difference);
                case_run.check(Check::within(
                    "largest difference reported",
                    format!("at least {least:e}"),
                    format!("{found:e}"),
                    Basis::Observed,
                ))?;
                case_run.check(Check::equal(
                    "where the largest difference is",
                    place(&values, seed) as u64,
                    validated.index,
                    Basis::Observed,
                ))?;
            }
            if step.timed {
                case_run.check(agrees("the loader's own time", validated.elapsed_us, took))?;
            }
            in_time(case_run, step, took)
        }
        (Ok(Reply::Validate(_)), Some(refusal)) => {
            let wanted = wanted(refusal);
            case_run.check(Check::broken("answer", wanted, "validated", Basis::Observed))
        }
        (Ok(other), _) => Err(CaseEnd::Fault(format!("a {} reply to validate", other.verb()))),
        (Err(failure), Some(refusal)) => refused(case_run, refusal, &failure),
        (Err(failure), None) => Err(case_run.unexpected("validated", &failure)),
    }
}

fn in_time(case_run: &mut CaseRun<'_>, step: &Validate, took: Duration) -> Result<(), CaseEnd> {
    let Some(limit) = step.within_ms else { return Ok(()) };
    let milliseconds = took.as_secs_f64() * 1e3;
    case_run.context.note_most("longest validation of a small model, ms", milliseconds);
    let texts = |digits: Digits| {
        (format!("below {limit} ms"), format!("{} ms", digits.fixed(milliseconds, 1)))
    };
    case_run.check(Check::measured("time of the validation", texts, Basis::Observed))
}

/// Which value of a golden is moved.
fn place(values: &[f32], seed: u64) -> usize {
    seed as usize % values.len().max(1)
}

/// The golden file's bytes; `None` if there must be no file.
fn flawed(
    values: &[f32],
    bytes: &[u8],
    flaw: GoldenFlaw,
    tolerance: f32,
    seed: u64,
) -> Option<Vec<u8>> {
    let file = |values: &[f32]| {
        let mut bytes = (values.len() as u32).to_le_bytes().to_vec();
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    };
    let moved = |by: f32| {
        let mut values = values.to_vec();
        let at = place(&values, seed);
        // Towards zero, where F32 is more precise.
        values[at] -= tolerance * by * values[at].signum();
        file(&values)
    };
    Some(match flaw {
        GoldenFlaw::None => bytes.to_vec(),
        GoldenFlaw::MovedInside => moved(0.9),
        GoldenFlaw::MovedOutside => moved(3.0),
        GoldenFlaw::CountTooLarge => {
            let mut bytes = bytes.to_vec();
            bytes[..4].copy_from_slice(&(values.len() as u32 + 1).to_le_bytes());
            bytes
        }
        GoldenFlaw::Cut => bytes[..bytes.len() - 4].to_vec(),
        GoldenFlaw::Trailing => [bytes, &[0; 4]].concat(),
        GoldenFlaw::BigEndian => {
            let mut bytes = bytes.to_vec();
            bytes.chunks_mut(4).for_each(<[u8]>::reverse);
            bytes
        }
        GoldenFlaw::Longer => file(&[values, &[0.0]].concat()),
        GoldenFlaw::Shorter => file(&values[..values.len() - 1]),
        GoldenFlaw::Empty => Vec::new(),
        GoldenFlaw::Missing => return None,
    })
}

fn write(path: &PathBuf, bytes: Vec<u8>) -> Result<(), CaseEnd> {
    fs::write(path, bytes).map_err(|error| CaseEnd::Fault(format!("writing a golden: {error}")))
}
