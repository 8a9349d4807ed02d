//! How fast a decoder goes on, by the harness's own clock: what more tokens take beyond fewer.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::{prompt, runtime};
use crate::contract::Device;
use crate::contract::generation::Sampling;
use crate::contract::reply::Reply;
use crate::contract::request::{self, Request};
use crate::gpu::nvml;
use crate::harness::case::generate::{Pace, PromptSource};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};
use crate::harness::run::step::forward::known;

/// Rounds of each figure; the median counts.
const ROUNDS: usize = 3;

/// Time between two looks at how busy a card is.
const LOOK: Duration = Duration::from_millis(40);

/// Measures and compares with the case's bounds.
pub fn pace(attempt: &mut Attempt<'_>, step: &Pace) -> Result<(), Stop> {
    attempt.begin(format!("take the time of {} tokens by {}", step.tokens, step.model));
    let model = step.model.as_str();
    if let Some(limit) = step.first_within_ms {
        let seconds = median(attempt, model, step.prompt, 1)?;
        let held = seconds * 1e3 < limit;
        let found = format!("{:.2} ms", seconds * 1e3);
        attempt.lab.note_most("longest time to a first token, ms", seconds * 1e3);
        let wanted = format!("below {limit} ms");
        attempt.check(Check::of(
            "time to the first token",
            wanted,
            found,
            held,
            Basis::Observed,
        ))?;
    }
    if let Some(least) = step.least_per_second {
        let rate = 1.0 / per_token(attempt, model, step.prompt, step.tokens)?;
        attempt.lab.note_most("tokens a second", rate);
        let (wanted, found) = (format!("above {least} a second"), format!("{rate:.1} a second"));
        attempt.check(Check::of("tokens", wanted, found, rate > least, Basis::Observed))?;
    }
    if let (Some(longer), Some(most)) = (step.longer_prompt, step.most_exponent) {
        let short = per_token(attempt, model, step.prompt, step.tokens)?;
        let long = per_token(attempt, model, longer, step.tokens)?;
        let exponent = (long / short).ln() / (longer as f64 / step.prompt as f64).ln();
        attempt.lab.note_most("exponent of a token's time over the length before it", exponent);
        let what = format!("exponent of a token's time over {} to {longer} tokens", step.prompt);
        let found = format!("{exponent:.3}: {:.3} ms, then {:.3} ms", short * 1e3, long * 1e3);
        let wanted = format!("at most {most}");
        attempt.check(Check::of(what, wanted, found, exponent <= most, Basis::Observed))?;
    }
    if let (Some(than), Some(least)) = (&step.than, step.least_times) {
        let own = per_token(attempt, model, step.prompt, step.tokens)?;
        let other = per_token(attempt, than, step.prompt, step.tokens)?;
        let times = other / own;
        attempt.lab.note_most(&format!("times as fast as {than}"), times);
        let (wanted, found) = (format!("more than {least} times"), format!("{times:.1} times"));
        let what = format!("speed beside {than}");
        attempt.check(Check::of(what, wanted, found, times > least, Basis::Observed))?;
    }
    if let Some(most) = step.most_shortfall {
        let own = per_token(attempt, model, step.prompt, step.tokens)?;
        let other = runtime::per_token(attempt, step)?;
        let shortfall = (1.0 - other / own) * 1e2;
        attempt.lab.note_most("tokens a second of the GGUF runtime beside it", 1.0 / other);
        let wanted = format!("at most {most} % below");
        let found = format!("{:.1} a second beside {:.1}", 1.0 / own, 1.0 / other);
        let what = "rate beside the GGUF runtime's";
        attempt.check(Check::of(what, wanted, found, shortfall <= most, Basis::Observed))?;
    }
    match step.least_busy {
        None => Ok(()),
        Some(least) => busy(attempt, step, least),
    }
}

/// NVML's utilisation of the card while tokens are generated.
fn busy(attempt: &mut Attempt<'_>, step: &Pace, least: f64) -> Result<(), Stop> {
    let Device::Cuda(ordinal) = attempt.device() else {
        return Err(Stop::Untested("needs a card to look at".to_owned()));
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
        let timed = seconds(attempt, &step.model, step.prompt, step.tokens);
        done.store(true, Relaxed);
        (timed, watcher.join())
    });
    let seconds = timed?;
    let looks = looks.map_err(|_| Stop::Fault("the watching thread was lost".to_owned()))?;
    let looks: Vec<u32> = looks
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| Stop::Untested(format!("utilisation: {error}")))?;
    // NVML tells of the time before a look: the first half was not all generation.
    let late = &looks[looks.len() / 2..];
    let mean = late.iter().map(|look| f64::from(*look)).sum::<f64>() / late.len().max(1) as f64;
    attempt.lab.note_most("utilisation while generating, percent", mean);
    let wanted = format!("above {least} %");
    let found = format!("{mean:.0} %, over {} looks in {seconds:.1} s", late.len());
    let held = mean > least && !late.is_empty();
    attempt.check(Check::of("utilisation while generating", wanted, found, held, Basis::Observed))
}

/// Seconds that a token takes behind the first, the median of some rounds.
pub(super) fn per_token(
    attempt: &mut Attempt<'_>,
    model: &str,
    prompt: usize,
    tokens: u32,
) -> Result<f64, Stop> {
    let first = median(attempt, model, prompt, 1)?;
    let all = median(attempt, model, prompt, tokens)?;
    let each = (all - first) / f64::from(tokens.max(2) - 1);
    // Where the clock cannot tell them apart, it is as fast as can be told.
    Ok(each.max(1e-9))
}

fn median(attempt: &mut Attempt<'_>, model: &str, prompt: usize, tokens: u32) -> Result<f64, Stop> {
    seconds(attempt, model, prompt, tokens)?;
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        all.push(seconds(attempt, model, prompt, tokens)?);
    }
    all.sort_by(f64::total_cmp);
    Ok(all[ROUNDS / 2])
}

/// Seconds from a request for so many tokens to its answer, which must hold as many.
fn seconds(
    attempt: &mut Attempt<'_>,
    model: &str,
    length: usize,
    tokens: u32,
) -> Result<f64, Stop> {
    let (handle, file) = {
        let model = attempt.model(model)?;
        (model.handle, model.file.clone())
    };
    // A fresh prompt each time: an answer that is kept does not help.
    let seed = rand::random();
    let made = prompt::make(&PromptSource::Random(length), known(attempt, &file)?, seed);
    let request = request::Generate {
        handle,
        prompt: made.map_err(Stop::Fault)?.prompt,
        limit: tokens,
        sampling: Sampling::GREEDY,
        into: None,
    };
    let began = Instant::now();
    let answer = attempt.ask(Request::Generate(request), u64::from(tokens) << 20)?;
    let took = began.elapsed().as_secs_f64();
    match answer {
        Ok(Reply::Generate(generated)) => {
            let found = generated.tokens.len();
            attempt.check(Check::equal("tokens", tokens as usize, found, Basis::Observed))?;
            Ok(took)
        }
        Ok(other) => Err(Stop::Fault(format!("a {} reply to generate", other.verb()))),
        Err(failure) => Err(attempt.unexpected("generated", &failure)),
    }
}
