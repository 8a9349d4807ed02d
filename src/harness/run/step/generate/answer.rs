//! Lets a model generate from a prompt, and judges tokens, text, logits and the reason to stop.

use std::time::Instant;

use serde_json::json;

use super::judge::{choices, stopped};
use crate::contract::generation::{LOGITS, Sampling};
use crate::contract::reply::{Generated, Reply};
use crate::contract::request::{self, Request};
use crate::harness::case::generate::Generate;
use crate::harness::model::generation::TokenRules;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::words::wire;
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::greedy::read_logits;
use crate::harness::run::step::oracle_logits::OracleLogits;
use crate::harness::run::step::refusal::{refused, wanted};
use crate::harness::run::step::{compare, prompt, times};

/// Lets a model generate and judges what it gave.
pub fn generate(case_run: &mut CaseRun<'_>, step: &Generate) -> Result<(), CaseEnd> {
    let (handle, file) = {
        let model = case_run.model(&step.model)?;
        (model.handle, model.file.clone())
    };
    let seed = case_run.seed(&format!("prompt {}", case_run.steps.len()));
    case_run.begin(format!("generate with {} from {}", step.model, prompt::words(&step.prompt)));
    let sampling = step.sampling.unwrap_or(Sampling::GREEDY);
    let made = case_run
        .gathering(|case_run| prompt::make(&step.prompt, case_run.placed_model(&file)?, seed))?;
    let mut first: Option<Vec<u32>> = None;
    for _ in 0..step.times {
        let into = step.logits.then(|| case_run.scratch_file());
        let request = request::Generate {
            handle,
            prompt: made.prompt.clone(),
            limit: step.limit,
            sampling,
            into: into.clone(),
        };
        let begin = Instant::now();
        let generated = match case_run.ask(Request::Generate(request), 0)? {
            Ok(Reply::Generate(generated)) => generated,
            Ok(other) => {
                return Err(CaseEnd::Fault(format!("a {} reply to generate", other.verb())));
            }
            Err(failure) => match &step.refused {
                Some(refusal) => {
                    refused(case_run, refusal, &failure)?;
                    continue;
                }
                None => return Err(case_run.unexpected("generated", &failure)),
            },
        };
        if let Some(refusal) = &step.refused {
            let wanted = wanted(refusal);
            return case_run.check(Check::broken("answer", wanted, "generated", Basis::Observed));
        }
        let told = times::within(generated.elapsed_us, begin.elapsed());
        told.map_or(Ok(()), |no| case_run.check(no))?;
        let device = case_run.device_of(handle);
        case_run.check(Check::equal("where it ran", device, generated.device, Basis::Declared))?;
        let count = generated.tokens.len();
        let most = format!("1 to {}", step.limit);
        case_run.check(Check::within("number of tokens", most, count, Basis::Observed))?;
        case_run.check(Check::one_of(
            "tokens given to the model",
            made.wanted(&generated.prompt),
            format!("{:?}", generated.prompt),
            Basis::Declared,
        ))?;
        // The oracle has no logits for them, and that is the loader's fault.
        let vocabulary = case_run.placed_model(&file)?.vocabulary();
        let is_beyond = |token: &&u32| **token as usize >= vocabulary;
        if let Some(token) = generated.tokens.iter().find(is_beyond) {
            let expected = format!("ids below {vocabulary}");
            case_run.check(Check::broken("tokens", expected, token, Basis::Observed))?;
        }
        let judged = step.judged.unwrap_or(usize::MAX).min(count);
        // The logits file has every token, so the oracle computes the logits of all tokens once.
        let asked = if step.logits { count } else { judged };
        let truth = case_run.gathering(|case_run| {
            OracleLogits::of_placed(
                case_run.placed_model(&file)?,
                &generated.prompt,
                &generated.tokens[..asked],
            )
        })?;
        let placed = case_run.placed_model(&file)?;
        let all = [generated.prompt.as_slice(), &generated.tokens].concat();
        let (rules, ends) = (TokenRules::read(&placed.folder), placed.ends());
        let choice = truth.under(&rules, &all, generated.prompt.len(), &ends);
        choices(case_run, &choice, &generated.tokens[..judged], &sampling)?;
        judge(case_run, step, &file, &generated, &choice)?;
        if let Some(into) = into {
            let read = read_logits(case_run, &into, &generated).map_err(|why| {
                let check = Check::broken("file", "the logits, as claimed", why, Basis::Observed);
                case_run.check(check).err().unwrap_or(CaseEnd::Failed)
            })?;
            let tolerance = case_run.placed_model(&file)?.tolerance(step.tolerance);
            compare::output(case_run, "logits", &read, &truth.state(LOGITS), tolerance)?;
        }
        match &first {
            None => first = Some(generated.tokens),
            Some(first) => {
                let (first, again) = (format!("{first:?}"), format!("{:?}", generated.tokens));
                case_run.check(Check::equal("the same again", first, again, Basis::Observed))?;
            }
        }
    }
    Ok(())
}

fn judge(
    case_run: &mut CaseRun<'_>,
    step: &Generate,
    file: &str,
    generated: &Generated,
    truth: &OracleLogits,
) -> Result<(), CaseEnd> {
    if step.varies {
        let greedy = truth.all_best(&generated.tokens);
        let found = greedy.then(|| "the most likely at each step".to_owned());
        let expected = "some that are not the most likely";
        case_run.check(Check::absent("sampled tokens", expected, found, Basis::Observed))?;
    }
    let model = case_run.placed.remove(file);
    let model = model.ok_or_else(|| CaseEnd::Fault(format!("no model {file}")))?;
    let done = stopped(case_run, &model, generated, step.limit);
    let text = model.voice.as_ref().map(|voice| voice.text(&generated.tokens));
    // The judge knows what its own models say. Of a published one it asks for the tokens that these
    // weights give, which it has compared by now, and not whether they are a good answer.
    let own = model.given.is_none();
    case_run.placed.insert(file.to_owned(), model);
    done?;
    if let Some(stops) = step.stops.filter(|_| own) {
        let (stops, found) = (wire(stops), wire(generated.stop));
        case_run.check(Check::equal("reason to stop", stops, found, Basis::Observed))?;
    }
    let said = generated.text.clone().unwrap_or_default();
    if let Some(text) = text {
        let text = text.map_err(CaseEnd::Fault)?;
        case_run.check(Check::equal("text of the tokens", text, said.clone(), Basis::Observed))?;
    }
    if step.says && own {
        let held = !said.trim().is_empty() && !said.contains('\u{fffd}');
        let found = if held { Ok(said.clone()) } else { Err(said.clone()) };
        case_run.check(Check::judged("answer", "readable text", found, Basis::Observed))?;
    }
    match step.contains.as_ref().filter(|_| own) {
        None => Ok(()),
        Some(part) => {
            let (wanted, found) = (format!("a text with {}", json!(part)), json!(said));
            case_run.check(Check::contains("answer", wanted, found, Basis::Observed))
        }
    }
}
