//! Compares generated tokens with the logits of the oracle, which is given the same tokens.

use crate::contract::generation::{Sampling, Stop as Ended};
use crate::contract::reply::Generated;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::model::PlacedModel;
use crate::harness::run::case_run::words::wire;
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::oracle_logits::{OracleLogits, is_best, largest, slack};

/// What sampled tokens must be.
pub const ALLOWED: &str = "a token that the sampling allows by the oracle, at each step";

/// Checks every token's choice.
///
/// # Errors
/// [`CaseEnd::Failed`].
pub fn choices(
    case_run: &mut CaseRun<'_>,
    wanted: &OracleLogits,
    tokens: &[u32],
    sampling: &Sampling,
) -> Result<(), CaseEnd> {
    let wrong = wrong_choice(wanted, tokens, sampling);
    let expected = match sampling.temperature == 0.0 {
        true => "the oracle's most likely token at each step",
        false => ALLOWED,
    };
    let found = wrong.map_or_else(|| Ok(format!("{} of them", tokens.len())), Err);
    case_run.check(Check::judged("tokens", expected, found, Basis::Observed))
}

/// The probability of a token that no loader draws twice in one answer.
const NEVER: f64 = 1e-14;

/// The first token that must not have been chosen.
pub fn wrong_choice(wanted: &OracleLogits, tokens: &[u32], sampling: &Sampling) -> Option<String> {
    let mut never = 0;
    tokens.iter().zip(&wanted.rows).enumerate().find_map(|(at, (token, logits))| {
        let allowed = match sampling.temperature == 0.0 {
            true => is_best(logits, *token, wanted.close),
            false => {
                // Where sums are rounded, a loader may come to the last token of all, once.
                never += u32::from(is_never_drawn(logits, *token, sampling, wanted.close));
                never < 2 && is_allowed(logits, *token, sampling, wanted.close)
            }
        };
        (!allowed).then(|| {
            let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            format!("token {at} is {token}, not {}", best.map_or(0, |(id, _)| id))
        })
    })
}

/// Whether the probabilities of all more likely tokens add up to less than `top_p`.
fn is_allowed(logits: &[f64], token: u32, sampling: &Sampling, close: f64) -> bool {
    let own = logits.get(token as usize).filter(|own| own.is_finite());
    let Some(own) = own else { return false };
    let (most, temperature) = (largest(logits), f64::from(sampling.temperature));
    let weight = |logit: f64| ((logit - most) / temperature).exp();
    let total: f64 = logits.iter().map(|logit| weight(*logit)).sum();
    let above: f64 = logits
        .iter()
        .filter(|logit| **logit > own + slack(logits, close))
        .map(|logit| weight(*logit))
        .sum();
    above / total < f64::from(sampling.top_p) + 1e-4
}

/// Whether a token is so unlikely at this temperature that it is not drawn, whatever `top_p` is.
fn is_never_drawn(logits: &[f64], token: u32, sampling: &Sampling, close: f64) -> bool {
    let own = logits.get(token as usize).filter(|own| own.is_finite());
    own.is_some_and(|own| {
        let below = largest(logits) - own - slack(logits, close);
        below / f64::from(sampling.temperature) > -NEVER.ln()
    })
}

/// Checks that the reason to stop is true.
///
/// # Errors
/// [`CaseEnd::Failed`].
pub fn stopped(
    case_run: &mut CaseRun<'_>,
    model: &PlacedModel,
    generated: &Generated,
    limit: u32,
) -> Result<(), CaseEnd> {
    case_run.check(stop_check(model, generated, limit))
}

/// Whether the reason to stop is true.
pub fn stop_check(model: &PlacedModel, generated: &Generated, limit: u32) -> Check {
    let ends = model.ends();
    let tokens = &generated.tokens;
    let ended = tokens.iter().position(|token| ends.contains(token));
    let ran = generated.prompt.len() + tokens.len();
    let truth = match ended {
        Some(at) if at + 1 == tokens.len() => Ended::EndOfSequence,
        Some(at) => {
            let found = format!("{} tokens after it", tokens.len() - at - 1);
            let wanted = "nothing";
            let what = "after the end of the sequence";
            return Check::broken(what, wanted, found, Basis::Observed);
        }
        None if tokens.len() == limit as usize => Ended::Limit,
        None if ran == model.longest() + 1 => Ended::Context,
        None => {
            let found = format!("{} tokens, none of which ends it", tokens.len());
            let wanted = format!("an end, {limit} tokens, or the context full");
            return Check::broken("reason to stop", wanted, found, Basis::Observed);
        }
    };
    let (truth, said) = (wire(truth), wire(generated.stop));
    Check::equal("reason to stop", truth, said, Basis::Declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(rows: usize) -> OracleLogits {
        OracleLogits::made(vec![vec![0.0, 1.0, 0.9]; rows])
    }

    fn sampling(temperature: f32, top_p: f32) -> Sampling {
        Sampling { temperature, top_p, seed: 1 }
    }

    #[test]
    fn a_temperature_that_is_ignored_is_seen_with_any_top_p() {
        let warm = [2, 0, 1, 0, 2, 0];
        for (temperature, top_p, tokens, wrong) in [
            (1.0, 1.0, &warm[..], None),
            (1000.0, 1.0, &warm, None),
            // A step of 0.1 is a thousand times this temperature.
            (1e-4, 1.0, &warm, Some("token 1 is 0")),
            (1e-4, 1.0, &[1, 1, 1, 1], None),
            // What rounding may do once is no lie.
            (1e-4, 1.0, &[1, 2, 1, 1], None),
            (0.01, 1.0, &[1, 2, 1, 2], None),
            (1.0, 0.3, &[1, 0], Some("token 1 is 0")),
        ] {
            let found = wrong_choice(&wanted(6), tokens, &sampling(temperature, top_p));
            let same = found.as_deref().map(|told| told.split(',').next().unwrap_or_default());
            assert_eq!(same, wrong, "temperature {temperature}, top_p {top_p}, {tokens:?}");
        }
    }
}
