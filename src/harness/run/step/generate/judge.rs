//! What a decoder generated, against the oracle that is given the same tokens.

use crate::contract::generation::{Sampling, Stop as Ended};
use crate::contract::inference::{Batch, State, TracedForward};
use crate::contract::reply::Generated;
use crate::harness::model::Model;
use crate::harness::oracle::forward::{Oracle, Precision};
use crate::harness::record::{Basis, Check};
use crate::harness::run::PlacedModel;
use crate::harness::run::case_run::{Attempt, Stop};

use crate::harness::run::step::forward::fault;

/// Two logits this close, relative to the largest, may change places. An engine sums in F32.
const CLOSE: f64 = 2e-5;

/// Weights from so many bytes on are a large model's.
const LARGE: usize = 1 << 30;

/// The oracle's logits behind each of the tokens from `first` on.
pub struct Wanted {
    width: usize,
    rows: Vec<Vec<f64>>,
}

impl Wanted {
    /// Asks the oracle for a sequence's logits, from the prompt's last token on.
    ///
    /// # Errors
    /// Where the oracle cannot say.
    pub fn of(model: &Model, prompt: &[u32], tokens: &[u32]) -> Result<Wanted, Stop> {
        let ran = tokens.len().saturating_sub(1);
        let ids: Vec<i64> = prompt.iter().chain(&tokens[..ran]).map(|id| i64::from(*id)).collect();
        let batch = Batch::Tokens {
            rows: 1,
            columns: ids.len(),
            mask: vec![1; ids.len()],
            types: Vec::new(),
            ids,
        };
        // Of a large model twice the memory would be too much, and F32 is what it is judged to.
        let bytes: usize = model.tensors.iter().map(|tensor| tensor.bytes.len()).sum();
        let precision = if bytes > LARGE { Precision::F32 } else { Precision::F64 };
        let mut oracle = Oracle::new(model, precision).map_err(fault)?;
        let all = oracle.forward(&batch, false).map_err(fault)?.output;
        let width = all.shape.last().copied().unwrap_or(1).max(1);
        let from = prompt.len().saturating_sub(1) * width;
        let rows = all.values[from..].chunks(width);
        let rows = rows.map(|row| row.iter().map(|logit| f64::from(*logit)).collect()).collect();
        Ok(Wanted { width, rows })
    }

    /// Whether every token is the most likely one.
    pub fn all_best(&self, tokens: &[u32]) -> bool {
        tokens.iter().zip(&self.rows).all(|(token, logits)| is_best(logits, *token))
    }

    /// The same as a state, to be compared with a loader's.
    pub fn state(&self, name: &str) -> State {
        let values = self.rows.iter().flatten().map(|logit| *logit as f32).collect();
        State { name: name.to_owned(), shape: vec![self.rows.len(), self.width], values }
    }
}

/// Checks every token's choice.
///
/// # Errors
/// [`Stop::Failed`].
pub fn choices(
    attempt: &mut Attempt<'_>,
    wanted: &Wanted,
    tokens: &[u32],
    sampling: &Sampling,
) -> Result<(), Stop> {
    let wrong = tokens.iter().zip(&wanted.rows).enumerate().find_map(|(at, (token, logits))| {
        let allowed = match sampling.temperature == 0.0 {
            true => is_best(logits, *token),
            false => is_allowed(logits, *token, sampling),
        };
        (!allowed).then(|| {
            let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            format!("token {at} is {token}, not {}", best.map_or(0, |(id, _)| id))
        })
    });
    let expected = match sampling.temperature == 0.0 {
        true => "the oracle's most likely token, each",
        false => "a token among the most likely by the oracle, each",
    };
    let held = wrong.is_none();
    let found = wrong.unwrap_or_else(|| format!("{} of them", tokens.len()));
    attempt.check(Check::of("tokens", expected, found, held, Basis::Observed))
}

fn largest(logits: &[f64]) -> f64 {
    logits.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn slack(logits: &[f64]) -> f64 {
    CLOSE * logits.iter().fold(1.0f64, |most, logit| most.max(logit.abs()))
}

fn is_best(logits: &[f64], token: u32) -> bool {
    logits.get(token as usize).is_some_and(|own| largest(logits) - own <= slack(logits))
}

/// Whether the tokens that are more likely do not reach `top_p` without this one.
fn is_allowed(logits: &[f64], token: u32, sampling: &Sampling) -> bool {
    let Some(own) = logits.get(token as usize) else { return false };
    let (most, temperature) = (largest(logits), f64::from(sampling.temperature));
    let weight = |logit: f64| ((logit - most) / temperature).exp();
    let total: f64 = logits.iter().map(|logit| weight(*logit)).sum();
    let above: f64 = logits
        .iter()
        .filter(|logit| **logit > own + slack(logits))
        .map(|logit| weight(*logit))
        .sum();
    above / total < f64::from(sampling.top_p) + 1e-4
}

/// Checks that the reason to stop is true.
///
/// # Errors
/// [`Stop::Failed`].
pub fn stopped(
    attempt: &mut Attempt<'_>,
    model: &PlacedModel,
    generated: &Generated,
    limit: u32,
) -> Result<(), Stop> {
    let ends = model.ends();
    let tokens = &generated.tokens;
    let ended = tokens.iter().position(|token| ends.contains(token));
    let ran = generated.prompt.len() + tokens.len();
    let truth = match ended {
        Some(at) if at + 1 == tokens.len() => Ended::EndOfSequence,
        Some(at) => {
            let found = format!("{} tokens behind it", tokens.len() - at - 1);
            let wanted = "nothing";
            return attempt.check(Check::of(
                "behind the end of the sequence",
                wanted,
                found,
                false,
                Basis::Observed,
            ));
        }
        None if tokens.len() == limit as usize => Ended::Limit,
        None if ran == model.longest() + 1 => Ended::Context,
        None => {
            let found = format!("{} tokens, none of which ends it", tokens.len());
            let wanted = format!("an end, {limit} tokens, or the context full");
            return attempt.check(Check::of(
                "reason to stop",
                wanted,
                found,
                false,
                Basis::Observed,
            ));
        }
    };
    let (truth, said) = (format!("{truth:?}"), format!("{:?}", generated.stop));
    attempt.check(Check::equal("reason to stop", truth, said, Basis::Declared))
}
