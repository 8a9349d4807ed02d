//! Measures a decoder's speed by the harness's own clock: the time to the first token, and the time
//! per token.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::clock::{median, per_token, seconds};
use super::runtime;
use crate::contract::Device;
use crate::gpu::nvml;
use crate::harness::case::generate::Throughput;
use crate::harness::record::{Basis, Check, Digits};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// Time between two readings of the GPU's utilisation.
const LOOK: Duration = Duration::from_millis(40);

/// Measures and compares with the case's bounds.
pub fn throughput(case_run: &mut CaseRun<'_>, step: &Throughput) -> Result<(), CaseEnd> {
    case_run.begin(format!("time {} tokens of {}", step.tokens, step.model));
    let model = step.model.as_str();
    if let Some(limit) = step.first_within_ms {
        let seconds = median(case_run, model, step.prompt, 1)?;
        case_run.context.note_most("longest time to a first token, ms", seconds * 1e3);
        let texts = |digits: Digits| {
            (format!("below {limit} ms"), format!("{} ms", digits.fixed(seconds * 1e3, 2)))
        };
        case_run.check(Check::measured("time to the first token", texts, Basis::Observed))?;
    }
    if let Some(least) = step.least_per_second {
        let rate = 1.0 / per_token(case_run, model, step.prompt, step.tokens)?;
        case_run.context.note_most("tokens a second", rate);
        let texts = |digits: Digits| {
            (format!("above {least} a second"), format!("{} a second", digits.fixed(rate, 1)))
        };
        case_run.check(Check::measured("tokens", texts, Basis::Observed))?;
    }
    if let (Some(longer), Some(most)) = (step.longer_prompt, step.most_exponent) {
        let short = per_token(case_run, model, step.prompt, step.tokens)?;
        let long = per_token(case_run, model, longer, step.tokens)?;
        let exponent = (long / short).ln() / (longer as f64 / step.prompt as f64).ln();
        case_run
            .context
            .note_most("exponent of a token's time over the length before it", exponent);
        let what = format!("exponent of a token's time over {} to {longer} tokens", step.prompt);
        let texts = |digits: Digits| {
            let exponent = digits.fixed(exponent, 3);
            let found = format!("{exponent}: {:.3} ms, then {:.3} ms", short * 1e3, long * 1e3);
            (format!("at most {most}"), found)
        };
        case_run.check(Check::measured(what, texts, Basis::Observed))?;
    }
    if let (Some(than), Some(least)) = (&step.than, step.least_times) {
        let own = per_token(case_run, model, step.prompt, step.tokens)?;
        let other = per_token(case_run, than, step.prompt, step.tokens)?;
        let times = other / own;
        case_run.context.note_most(&format!("times as fast as {than}"), times);
        let texts = |digits: Digits| {
            (format!("more than {least} times"), format!("{} times", digits.fixed(times, 1)))
        };
        let what = format!("speed compared with {than}");
        case_run.check(Check::measured(what, texts, Basis::Observed))?;
    }
    if let Some(most) = step.most_shortfall {
        let own = per_token(case_run, model, step.prompt, step.tokens)?;
        let other = runtime::per_token(case_run, step)?;
        let shortfall = (1.0 - other / own) * 1e2;
        case_run.context.note_most("tokens a second of the GGUF runtime beside it", 1.0 / other);
        let texts = |digits: Digits| {
            let (own, other) = (1.0 / own, 1.0 / other);
            let shortfall = digits.fixed(shortfall, 1);
            let found = format!("{shortfall} % below: {own:.1} and {other:.1} a second");
            (format!("at most {most} % below"), found)
        };
        let what = "rate compared with the GGUF runtime's";
        case_run.check(Check::measured(what, texts, Basis::Observed))?;
    }
    match step.least_busy {
        None => Ok(()),
        Some(least) => busy(case_run, step, least),
    }
}

/// Checks the utilisation of the GPU, as NVML reports it, while tokens are generated.
fn busy(case_run: &mut CaseRun<'_>, step: &Throughput, least: f64) -> Result<(), CaseEnd> {
    let Device::Cuda(ordinal) = case_run.device() else {
        return Err(CaseEnd::Untested("needs a GPU to measure".to_owned()));
    };
    let done = AtomicBool::new(false);
    let (timed, looks) = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = Vec::new();
            while !done.load(Relaxed) {
                thread::sleep(LOOK);
                looks.push(nvml::utilization(ordinal));
            }
            looks
        });
        let timed = seconds(case_run, &step.model, step.prompt, step.tokens);
        done.store(true, Relaxed);
        (timed, watcher.join())
    });
    let seconds = timed?;
    let looks = looks.map_err(|_| CaseEnd::Fault("the watching thread panicked".to_owned()))?;
    let looks: Vec<u32> = looks
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| CaseEnd::Untested(format!("utilisation: {error}")))?;
    // NVML reports on the time before a reading, so the first readings are not only of generation.
    let late = &looks[looks.len() / 2..];
    let mean = late.iter().map(|look| f64::from(*look)).sum::<f64>() / late.len().max(1) as f64;
    case_run.context.note_most("utilisation while generating, percent", mean);
    let texts = |digits: Digits| {
        let (mean, over) = (digits.fixed(mean, 0), late.len());
        (format!("above {least} %"), format!("{mean} %, over {over} readings in {seconds:.1} s"))
    };
    case_run.check(Check::measured("utilisation while generating", texts, Basis::Observed))
}
