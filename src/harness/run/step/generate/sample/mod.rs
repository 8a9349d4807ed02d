//! Samples many answers, each with another seed, and judges how often tokens came.

mod allowed;
mod draws;
mod echoes;
mod shares;

use self::draws::Draws;
use self::shares::{FALSE_ALARM, far_off};
use super::judge::{ALLOWED, stop_check, wrong_choice};
use crate::contract::generation::Sampling;
use crate::contract::reply::{Generated, Reply};
use crate::contract::request::{self, Request};
use crate::harness::case::generate::Sample;
use crate::harness::model::generation::TokenRules;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::model::PlacedModel;
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::oracle_logits::OracleLogits;
use crate::harness::run::step::prompt;

/// Two answers that are less likely to be alike than this are not alike by chance.
const ALIKE: f64 = 1e-12;

/// Samples and judges.
///
/// # Errors
/// Why the case ends here.
pub fn sample(case_run: &mut CaseRun<'_>, step: &Sample) -> Result<(), CaseEnd> {
    let file = case_run.model(&step.model)?.file.clone();
    let seed = case_run.seed(&format!("prompt {}", case_run.steps.len()));
    case_run.begin(format!("sample answers of {} to {}", step.model, prompt::words(&step.prompt)));
    let made = case_run
        .gathering(|case_run| prompt::make(&step.prompt, case_run.placed_model(&file)?, seed))?;
    let mut draws = Draws::new();
    let mut answers: Vec<(u64, Vec<u32>, f64)> = Vec::new();
    for seed in seeds(seed, step.answers, step.wide_seeds) {
        let sampling = Sampling { temperature: step.temperature, top_p: step.top_p, seed };
        let generated = answer(case_run, step, &made, sampling)?;
        let (fault, chance) = case_run.gathering(|case_run| {
            let placed = case_run.placed_model(&file)?;
            let (given, tokens) = (&generated.prompt, &generated.tokens);
            let truth = OracleLogits::of_placed(placed, given, tokens)?;
            let all = [given.as_slice(), tokens].concat();
            let (rules, ends) = (TokenRules::read(&placed.folder), placed.ends());
            let choice = truth.under(&rules, &all, given.len(), &ends);
            let stop = stop_check(placed, &generated, step.limit);
            let fault = match wrong_choice(&choice, tokens, &sampling) {
                Some(wrong) => Some(Check::judged("tokens", ALLOWED, Err(wrong), Basis::Observed)),
                None if !stop.held => Some(stop),
                None => wrong_text(placed, &generated)?,
            };
            Ok((fault, draws.add((given, tokens), &choice, &sampling, &ends)))
        })?;
        if let Some(fault) = fault {
            return case_run.check(fault);
        }
        answers.push((seed, generated.tokens, chance));
    }
    let count: usize = answers.iter().map(|(_, tokens, _)| tokens.len()).sum();
    let found = Ok(format!("{count} of them"));
    case_run.check(Check::judged("tokens", ALLOWED, found, Basis::Observed))?;
    seeds_decide(case_run, step, &made, &answers)?;
    let judged = draws.count();
    let shares = draws.shares();
    let far = far_off(&shares);
    let found = match far {
        None => Ok(format!("{judged} tokens")),
        Some(far) => {
            Err(format!("{}: {} of {}, not {:.1}", far.what, far.hits, far.draws, far.expected))
        }
    };
    let expected = format!(
        "as often as the oracle's probabilities say; chance exceeds the bound once in {:.0e} times",
        1.0 / FALSE_ALARM
    );
    case_run.check(Check::judged("how often tokens come", expected, found, Basis::Observed))
}

/// A failed check if the text of an answer is not that of its tokens.
fn wrong_text(placed: &PlacedModel, generated: &Generated) -> Result<Option<Check>, CaseEnd> {
    let Some(voice) = &placed.voice else { return Ok(None) };
    let text = voice.text(&generated.tokens).map_err(CaseEnd::Fault)?;
    let said = generated.text.clone().unwrap_or_default();
    let wrong = text != said;
    Ok(wrong.then(|| Check::equal("text of the tokens", text, said, Basis::Observed)))
}

/// The seeds: zero, some that differ from it in one bit only, and others in a row. The upper 32 bits count
/// where `wide` is set: generators with seeds of 32 bits are usual.
fn seeds(from: u64, count: u32, wide: bool) -> impl Iterator<Item = u64> {
    let row = 1 + from % (1 << 30);
    let bits: &[u64] = &[0, 1 << 8, 1 << 16, 1 << 31];
    let apart: &[u64] = if wide { &[1 << 32, 1 << 60, (1 << 60) + 1] } else { &[] };
    bits.iter().chain(apart).copied().chain(row..).take(count as usize)
}

/// Asks for one answer.
fn answer(
    case_run: &mut CaseRun<'_>,
    step: &Sample,
    made: &prompt::Made,
    sampling: Sampling,
) -> Result<Generated, CaseEnd> {
    let request = request::Generate {
        handle: case_run.model(&step.model)?.handle,
        prompt: made.prompt.clone(),
        limit: step.limit,
        sampling,
        into: None,
    };
    let generated = match case_run.ask(Request::Generate(request), 0)? {
        Ok(Reply::Generate(generated)) => generated,
        Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to generate", other.verb()))),
        Err(failure) => return Err(case_run.unexpected("generated", &failure)),
    };
    let count = generated.tokens.len();
    let (held, most) = ((1..=step.limit as usize).contains(&count), step.limit);
    if !held {
        let most = format!("1 to {most}");
        case_run.check(Check::within("number of tokens", most, count, Basis::Observed))?;
    }
    if !made.is(&generated.prompt) {
        let (wanted, given) = (format!("{:?}", made.tokens), format!("{:?}", generated.prompt));
        let what = "tokens given to the model";
        case_run.check(Check::one_of(what, wanted, given, Basis::Declared))?;
    }
    Ok(generated)
}

/// Checks that a seed always gives the same answer, and that no other seed gives it.
fn seeds_decide(
    case_run: &mut CaseRun<'_>,
    step: &Sample,
    made: &prompt::Made,
    answers: &[(u64, Vec<u32>, f64)],
) -> Result<(), CaseEnd> {
    let pairs = answers.iter().enumerate().flat_map(|(n, one)| {
        answers[..n].iter().filter(|(_, tokens, _)| *tokens == one.1).map(move |other| (other, one))
    });
    let alike = pairs.into_iter().find(|(_, (_, _, chance))| *chance < ALIKE.ln());
    let found = alike.map(|((a, ..), (b, tokens, _))| {
        format!("seeds {a} and {b} give the same {} tokens", tokens.len())
    });
    let (what, expected) = ("answers of several seeds", "no two alike but by chance");
    case_run.check(Check::absent(what, expected, found, Basis::Observed))?;
    for (seed, tokens, _) in answers.iter().take(1).chain(answers.last()) {
        let (temperature, top_p) = (step.temperature, step.top_p);
        let again = answer(case_run, step, made, Sampling { temperature, top_p, seed: *seed })?;
        let what = format!("seed {seed} again");
        let (first, again) = (format!("{tokens:?}"), format!("{:?}", again.tokens));
        case_run.check(Check::equal(what, first, again, Basis::Observed))?;
    }
    Ok(())
}
