//! What the output of a loader's command must contain.

use serde_json::{Map, Value};

use crate::contract::generation::{Role, Turn};
use crate::harness::case::cli::{Cli, Program};
use crate::harness::model::chat;
use crate::harness::regular;
use crate::harness::run::case_run::model::PlacedModel;
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::oracle_logits::{OracleLogits, clear_best};
use crate::harness::template::Moment;

/// Tokens of an answer that the oracle is asked for, at most.
const TOKENS: usize = 6;

/// The texts: those that the case names or, if the run's own checkpoint answers, how its answer to the
/// first prompt must begin.
///
/// # Errors
/// [`CaseEnd::Untested`] if that cannot be known.
pub(super) fn wanted(case_run: &mut CaseRun<'_>, step: &Cli) -> Result<Vec<String>, CaseEnd> {
    let answers = matches!(step.command, Program::Run | Program::Chat);
    let model = case_run.placed_model(&step.model)?;
    if model.given.is_none() || !answers || step.contains.is_empty() {
        return Ok(step.contains.clone());
    }
    let said = step.say.first().cloned().unwrap_or_default();
    let begins =
        case_run.gathering(|case_run| begins(case_run.placed_model(&step.model)?, said))?;
    Ok(vec![begins])
}

/// A setting of `generation_config.json` by which a command may choose other tokens than the most likely.
fn chooses(model: &PlacedModel) -> Option<String> {
    let text = regular::read(&model.folder.join(chat::GENERATION)).ok()?;
    let settings: Map<String, Value> = serde_json::from_slice(&text).ok()?;
    let plain = |name: &str, value: &Value| match name {
        "do_sample" => *value == Value::Bool(false),
        "repetition_penalty" => value.as_f64() == Some(1.0),
        _ => !name.contains("suppress") && !name.contains("bad_words") && !name.contains("min_"),
    };
    let other = settings.iter().find(|(name, value)| !value.is_null() && !plain(name, value));
    other.map(|(name, value)| format!("{name} = {value}"))
}

/// How the answer to a prompt begins: the oracle's most likely tokens, up to one that has an equal.
fn begins(model: &PlacedModel, said: String) -> Result<String, CaseEnd> {
    let voice = model.voice.as_ref().ok_or_else(|| model.lacks("cannot chat"))?;
    let turns = [Turn { role: Role::User, content: said }];
    let prompt = voice.tokens(&turns, Moment::now()).map_err(|why| model.lacks(why))?;
    let ends = model.ends();
    if let Some(setting) = chooses(model) {
        return Err(model.lacks(format!("{} has {setting}", chat::GENERATION)));
    }
    let mut tokens: Vec<u32> = Vec::new();
    while tokens.len() < TOKENS {
        let mut ran = tokens.clone();
        // The oracle gives the logits before each token, so one more token asks for the next.
        ran.push(0);
        let logits = OracleLogits::of_placed(model, &prompt, &ran)?;
        match logits.rows.last().and_then(|row| clear_best(row, logits.close)) {
            Some(best) if !ends.contains(&best) => tokens.push(best),
            _ => break,
        }
    }
    let text = voice.text(&tokens).map_err(|why| model.lacks(why))?;
    // A character may be cut at the end.
    let text = text.trim().trim_end_matches('\u{fffd}').to_owned();
    match text.is_empty() {
        true => Err(model.lacks("its answer begins with no text that could be compared")),
        false => Ok(text),
    }
}
