//! The oracle's logits of a sequence that a loader generated.

use crate::contract::inference::{Batch, State, TracedForward};
use crate::harness::model::Model;
use crate::harness::model::generation::TokenRules;
use crate::harness::oracle::forward::{Oracle, OracleError, Precision};
use crate::harness::run::case_run::model::PlacedModel;
use crate::harness::run::case_run::{CaseEnd, oracle_fault};

/// Two logits whose difference is at most this, relative to the largest, may be in either order,
/// because engines sum in F32: both may be off by half of it.
const CLOSE: f64 = 2e-5;

/// The oracle's logits after the prompt and after each token.
pub struct OracleLogits {
    width: usize,
    /// Two logits whose difference is at most this, relative to the largest, may be in either order.
    pub close: f64,
    /// One row for each token.
    pub rows: Vec<Vec<f64>>,
}

impl OracleLogits {
    /// Asks the oracle for a sequence's logits, from the prompt's last token on.
    ///
    /// # Errors
    /// If the oracle fails.
    pub fn of(model: &Model, prompt: &[u32], tokens: &[u32]) -> Result<OracleLogits, CaseEnd> {
        let mut oracle = Oracle::new(model, Precision::F64).map_err(oracle_fault)?;
        let run = |batch: &Batch| Ok(oracle.forward(batch, false)?.output);
        OracleLogits::by(run, prompt, tokens).map_err(oracle_fault)
    }

    /// The same for a model of the case.
    ///
    /// # Errors
    /// If the oracle fails; untested for the run's own checkpoint.
    pub fn of_placed(
        model: &PlacedModel,
        prompt: &[u32],
        tokens: &[u32],
    ) -> Result<OracleLogits, CaseEnd> {
        let run = |batch: &Batch| Ok(model.oracle(batch, false)?.output);
        let mut logits = OracleLogits::by(run, prompt, tokens)
            .map_err(|error| model.lacks(format!("the oracle: {error}")))?;
        logits.close = 2.0 * model.tolerance(CLOSE / 2.0);
        Ok(logits)
    }

    /// Logits that a test makes up.
    #[cfg(test)]
    pub fn made(rows: Vec<Vec<f64>>) -> OracleLogits {
        OracleLogits { width: rows.first().map_or(1, Vec::len), close: CLOSE, rows }
    }

    fn by(
        run: impl FnOnce(&Batch) -> Result<State, OracleError>,
        prompt: &[u32],
        tokens: &[u32],
    ) -> Result<OracleLogits, OracleError> {
        let ran = tokens.len().saturating_sub(1);
        let ids: Vec<i64> = prompt.iter().chain(&tokens[..ran]).map(|id| i64::from(*id)).collect();
        let batch = Batch::Tokens {
            rows: 1,
            columns: ids.len(),
            mask: vec![1; ids.len()],
            types: Vec::new(),
            ids,
        };
        let all = run(&batch)?;
        let width = all.shape.last().copied().unwrap_or(1).max(1);
        let from = prompt.len().saturating_sub(1) * width;
        let rows = all.values[from..].chunks(width);
        let rows = rows.map(|row| row.iter().map(|logit| f64::from(*logit)).collect()).collect();
        Ok(OracleLogits { width, close: CLOSE, rows })
    }

    /// Whether every token is the most likely one.
    pub fn all_best(&self, tokens: &[u32]) -> bool {
        tokens.iter().zip(&self.rows).all(|(token, logits)| is_best(logits, *token, self.close))
    }

    /// What tokens are chosen from under the settings of `generation_config.json`.
    pub fn under(&self, rules: &TokenRules, all: &[u32], prompt: usize, ends: &[u32]) -> Self {
        let row = |(at, logits): (usize, &Vec<f64>)| {
            rules.applied(logits, &all[..prompt + at], prompt, ends)
        };
        let rows = self.rows.iter().enumerate().map(row).collect();
        OracleLogits { width: self.width, close: self.close, rows }
    }

    /// The same as a state, to be compared with a loader's.
    pub fn state(&self, name: &str) -> State {
        let values = self.rows.iter().flatten().map(|logit| *logit as f32).collect();
        State { name: name.to_owned(), shape: vec![self.rows.len(), self.width], values }
    }
}

/// The largest logit.
pub fn largest(logits: &[f64]) -> f64 {
    logits.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The largest difference of two logits that may be in either order.
pub fn slack(logits: &[f64], close: f64) -> f64 {
    let told = logits.iter().filter(|logit| logit.is_finite());
    close * told.fold(1.0f64, |most, logit| most.max(logit.abs()))
}

/// Whether a token is the most likely one.
pub fn is_best(logits: &[f64], token: u32, close: f64) -> bool {
    logits.get(token as usize).is_some_and(|own| largest(logits) - own <= slack(logits, close))
}

/// The most likely token; `None` if another one is so close that an engine in F32 may choose it.
pub fn clear_best(logits: &[f64], close: f64) -> Option<u32> {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?.0;
    let near = logits.iter().enumerate();
    let slack = slack(logits, close);
    let mut near = near.filter(|(at, logit)| *at != best && logits[best] - **logit <= slack);
    near.next().is_none().then_some(best as u32)
}
