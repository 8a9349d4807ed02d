//! Padding rows of the vocabulary, and whether embedding and head are divided alike.

use super::finding::Finding;
use super::replica::{Claimed, Replica};
use crate::harness::plan::layout::{Entry, Plan};
use crate::harness::plan::role::{Home, Role};
use crate::harness::plan::rule::Rule;

/// Checks the rows that are in no file, and compares embedding and head.
pub(super) fn check(replica: &mut Replica<'_>) {
    let plan = &replica.plan;
    let words: Vec<&Entry> =
        plan.entries.iter().filter(|entry| entry.part.role == Role::Vocabulary).collect();
    let mut findings = Vec::new();
    for one in replica.claimed {
        let here = words.iter().filter(|entry| plan.has(one.place.stage, entry));
        findings.extend(here.flat_map(|entry| padding(plan, entry, one)));
    }
    let of = |home: Home| words.iter().copied().find(|entry| entry.part.home == home);
    if let (Some(embedding), Some(head)) = (of(Home::First), of(Home::Last)) {
        let (tp, all) = (plan.grid.tp() as usize, replica.claimed);
        let (first, last) = (&all[..tp], &all[all.len() - tp..]);
        findings.extend(first.iter().zip(last).filter_map(|pair| alike(embedding, head, pair)));
    }
    replica.findings.append(&mut findings);
}

/// Rows that a rank claims to have besides those of the file.
fn padding(plan: &Plan, entry: &Entry, one: &Claimed<'_>) -> Vec<Finding> {
    let expected = plan.padding(entry, &entry.share(one.place.tp_rank));
    let told = one.of(entry).iter().filter_map(|held| held.padding);
    told.filter(|told| *told != expected)
        .map(|told| {
            let expected = format!("{expected} padding rows");
            let finding = Finding::new(Rule::PaddedVocabulary, expected, told);
            finding.tensor(&entry.declared.name).rank(one.place.rank)
        })
        .collect()
}

/// Compares a rank's rows of the embedding with the same rank's rows of the head.
fn alike(
    embedding: &Entry,
    head: &Entry,
    (first, last): (&Claimed<'_>, &Claimed<'_>),
) -> Option<Finding> {
    let rows = |one: &Claimed<'_>, entry: &Entry| {
        let held = one.of(entry).first()?;
        Some((held.ranges.dimensions().first()?.clone(), held.padding, held.ranges.to_string()))
    };
    let (embedded, scored) = (rows(first, embedding)?, rows(last, head)?);
    let padded =
        |rows: Option<u64>| rows.map_or(String::new(), |rows| format!(", {rows} padding rows"));
    let both_told = embedded.1.is_some() && scored.1.is_some();
    let differ = embedded.0 != scored.0 || both_told && embedded.1 != scored.1;
    let expected = format!("{}{} as in the embedding", embedded.2, padded(embedded.1));
    let found = format!("{}{}", scored.2, padded(scored.1));
    let finding = Finding::new(Rule::PaddedVocabulary, expected, found);
    differ.then(|| finding.tensor(&head.declared.name).rank(last.place.rank))
}
