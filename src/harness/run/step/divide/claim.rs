//! Holds what the ranks say they hold against the judge's own plan.

use crate::contract::parallel::{RankPart, Slice};
use crate::harness::case::divide::Divide;
use crate::harness::plan::document::{Held, Rank};
use crate::harness::plan::{self, Document, Grid, Headers, Plan, Refusal};
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun};
use crate::harness::run::step::slices::share;

/// Rules that one check names.
const SHOWN: usize = 3;

/// Judges the parts that ranks claim. Ranks that were not asked for count as the judge would have them.
///
/// # Errors
/// [`CaseEnd::Failed`] where they break a rule; [`CaseEnd::Fault`] where the judge has no plan of this model.
pub fn judge(case_run: &mut CaseRun<'_>, step: &Divide, parts: &[RankPart]) -> Result<(), CaseEnd> {
    let fault = |refusal: Refusal| CaseEnd::Fault(format!("the judge's plan: {refusal}"));
    let path = case_run.file(&step.file)?.path.clone();
    let judgement = case_run.gathering(|_| {
        let headers = Headers::read(&path)?;
        let (tp, pp) = (u64::from(step.tp), u64::from(step.pp));
        // Ranks in host memory, or on one card in turn, have no device numbers of their own. That each is
        // where it was asked for is another check.
        let grid = Grid::new(tp, pp, u64::from(step.replicas), &[])?;
        let own = Plan::of(&headers, &grid, 1)?.document().ranks.into_iter();
        let claimed = |own: &Rank| parts.iter().any(|part| u64::from(part.rank) == own.rank);
        let others = own.filter(|own| !claimed(own));
        let ranks = parts.iter().map(rank).chain(others).collect();
        let claim = Document { refused: None, padded_vocabulary: None, ranks };
        plan::judge(&headers, &grid, 1, &claim)
    });
    let findings = judgement.map_err(fault)?.findings;
    let told = findings.iter().take(SHOWN).map(|finding| {
        let rule = finding.rule;
        format!("rule {} ({}): {finding}", rule.number(), rule.text())
    });
    let mut told = told.collect::<Vec<_>>().join("; ");
    if findings.len() > SHOWN {
        told.push_str(&format!("; and {} more", findings.len() - SHOWN));
    }
    let verdict = match findings.is_empty() {
        true => Ok(format!("the slices of {} ranks", parts.len())),
        false => Err(told),
    };
    let expected = "slices that keep every rule of parallel plans";
    case_run.check(Check::judged(
        "what the ranks say they hold",
        expected,
        verdict,
        Basis::Declared,
    ))
}

fn rank(part: &RankPart) -> Rank {
    Rank {
        rank: u64::from(part.rank),
        replica: None,
        stage: None,
        tp_rank: None,
        device: u64::from(part.rank),
        tensors: part.tensors.iter().map(held).collect(),
        elsewhere: part.elsewhere,
        bytes_read: None,
    }
}

fn held(slice: &Slice) -> Held {
    Held {
        tensor: slice.tensor.clone(),
        ranges: share(slice),
        padding: (slice.padding > 0).then_some(slice.padding),
        adds: slice.adds,
        file: None,
        spans: None,
    }
}
