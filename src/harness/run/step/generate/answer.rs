//! A model that goes on from a prompt.

use std::fs;

use super::judge::{Wanted, choices, stopped};
use super::prompt;
use crate::contract::generation::{LOGITS, Sampling};
use crate::contract::inference::State;
use crate::contract::reply::{Generated, Reply};
use crate::contract::request::{self, Request};
use crate::harness::case::generate::Generate;
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{Attempt, Stop};
use crate::harness::run::step::forward::compare;
use crate::harness::run::step::forward::known;
use crate::harness::run::step::load::refusal::{refused, wanted};

/// Lets a model generate and judges what it gave.
pub fn generate(attempt: &mut Attempt<'_>, step: &Generate) -> Result<(), Stop> {
    let (handle, file) = {
        let model = attempt.model(&step.model)?;
        (model.handle, model.file.clone())
    };
    let seed = attempt.seed(&format!("prompt {}", attempt.steps.len()));
    attempt.begin(format!("generate with {} from {:?}", step.model, step.prompt));
    let sampling = step.sampling.unwrap_or(Sampling::GREEDY);
    let made = attempt.gathering(|attempt| {
        prompt::make(&step.prompt, known(attempt, &file)?, seed).map_err(Stop::Fault)
    })?;
    let mut first: Option<Vec<u32>> = None;
    for _ in 0..step.times {
        let into = step.logits.then(|| attempt.scratch_file());
        let request = request::Generate {
            handle,
            prompt: made.prompt.clone(),
            limit: step.limit,
            sampling,
            into: into.clone(),
        };
        let generated = match attempt.ask(Request::Generate(request), 0)? {
            Ok(Reply::Generate(generated)) => generated,
            Ok(other) => return Err(Stop::Fault(format!("a {} reply to generate", other.verb()))),
            Err(failure) => match &step.refused {
                Some(refusal) => {
                    refused(attempt, refusal, &failure)?;
                    continue;
                }
                None => return Err(attempt.unexpected("generated", &failure)),
            },
        };
        if let Some(refusal) = &step.refused {
            let wanted = wanted(refusal);
            return attempt.check(Check::of("answer", wanted, "generated", false, Basis::Observed));
        }
        let device = attempt.device();
        attempt.check(Check::equal("where it ran", device, generated.device, Basis::Declared))?;
        let count = generated.tokens.len();
        let held = (1..=step.limit as usize).contains(&count);
        let most = format!("1 to {}", step.limit);
        attempt.check(Check::of("number of tokens", most, count, held, Basis::Observed))?;
        attempt.check(Check::of(
            "tokens given to the model",
            format!("{:?}", made.tokens),
            format!("{:?}", generated.prompt),
            made.tokens == generated.prompt,
            Basis::Declared,
        ))?;
        let judged = step.judged.unwrap_or(usize::MAX).min(count);
        // The file has every token's logits, so they are asked for once, for all.
        let asked = if step.logits { count } else { judged };
        let truth = attempt.gathering(|attempt| {
            Wanted::of(&known(attempt, &file)?.model, &generated.prompt, &generated.tokens[..asked])
        })?;
        choices(attempt, &truth, &generated.tokens[..judged], &sampling)?;
        judge(attempt, step, &file, &generated, &truth)?;
        if let Some(into) = into {
            let read = read(&into, &generated).map_err(|why| {
                let check =
                    Check::of("file", "the logits, as claimed", why, false, Basis::Observed);
                attempt.check(check).err().unwrap_or(Stop::Failed)
            })?;
            compare::output(attempt, "logits", &read, &truth.state(LOGITS), step.tolerance)?;
        }
        match &first {
            None => first = Some(generated.tokens),
            Some(first) => {
                let (first, again) = (format!("{first:?}"), format!("{:?}", generated.tokens));
                attempt.check(Check::equal("the same again", first, again, Basis::Observed))?;
            }
        }
    }
    Ok(())
}

fn judge(
    attempt: &mut Attempt<'_>,
    step: &Generate,
    file: &str,
    generated: &Generated,
    truth: &Wanted,
) -> Result<(), Stop> {
    if step.varies {
        let greedy = truth.all_best(&generated.tokens);
        let found = if greedy { "the most likely, each" } else { "others among them" };
        let expected = "some that are not the most likely";
        attempt.check(Check::of("sampled tokens", expected, found, !greedy, Basis::Observed))?;
    }
    let model = attempt.encoders.remove(file);
    let model = model.ok_or_else(|| Stop::Fault(format!("no model {file}")))?;
    let done = stopped(attempt, &model, generated, step.limit);
    let text = model.voice.as_ref().map(|voice| voice.text(&generated.tokens));
    attempt.encoders.insert(file.to_owned(), model);
    done?;
    if let Some(stops) = step.stops {
        let (stops, found) = (format!("{stops:?}"), format!("{:?}", generated.stop));
        attempt.check(Check::equal("reason to stop", stops, found, Basis::Observed))?;
    }
    let said = generated.text.clone().unwrap_or_default();
    if let Some(text) = text {
        let text = text.map_err(Stop::Fault)?;
        attempt.check(Check::equal("text of the tokens", text, said.clone(), Basis::Observed))?;
    }
    if step.says {
        let held = !said.trim().is_empty() && !said.contains('\u{fffd}');
        attempt.check(Check::of("answer", "readable text", said.clone(), held, Basis::Observed))?;
    }
    match &step.contains {
        None => Ok(()),
        Some(part) => {
            let held = said.contains(part.as_str());
            let wanted = format!("a text with {part:?}");
            attempt.check(Check::of("answer", wanted, format!("{said:?}"), held, Basis::Observed))
        }
    }
}

/// The logits that a loader wrote.
pub(super) fn read(into: &std::path::Path, generated: &Generated) -> Result<State, String> {
    let bytes = fs::read(into).map_err(|error| error.to_string())?;
    let _gone = fs::remove_file(into);
    let claimed = generated.written.as_ref().map(|written| written.sha256.as_str());
    if claimed != Some(sha256_hex(&bytes).as_str()) {
        return Err("another SHA-256 than claimed".to_owned());
    }
    let file = safetensors::SafeTensors::deserialize(&bytes).map_err(|error| error.to_string())?;
    let view = file.tensor(LOGITS).map_err(|error| error.to_string())?;
    if view.dtype() != safetensors::Dtype::F32 {
        return Err(format!("{:?}, not F32", view.dtype()));
    }
    let values = view.data().as_chunks().0.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
    Ok(State { name: LOGITS.to_owned(), shape: view.shape().to_vec(), values })
}
