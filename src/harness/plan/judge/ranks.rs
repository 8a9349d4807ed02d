//! What a rank says of itself: its numbers, the tensors of other stages, and the bytes that it reads.

use super::finding::Finding;
use super::replica::{Claimed, Replica};
use crate::harness::plan::role::Home;
use crate::harness::plan::rule::Rule;

/// What a rank may read beyond its share and all headers, in percent of its share.
const SLACK: u64 = 5;

/// Checks every rank's own words.
pub(super) fn check(replica: &mut Replica<'_>) {
    let mut findings = Vec::new();
    for one in replica.claimed {
        let found = names(one).into_iter().chain(counts(replica, one));
        findings.extend(found.map(|finding| finding.rank(one.place.rank)));
    }
    replica.findings.append(&mut findings);
}

/// Numbers that are taken for each other.
fn names(one: &Claimed<'_>) -> Vec<Finding> {
    let (place, rank) = (one.place, one.rank);
    let pairs = [
        ("replica", place.replica, rank.replica),
        ("stage", place.stage, rank.stage),
        ("rank in its group", place.tp_rank, rank.tp_rank),
        ("device", place.device, Some(rank.device)),
    ];
    let wrong =
        pairs.into_iter().filter(|(_, wanted, told)| told.is_some_and(|told| told != *wanted));
    wrong
        .map(|(name, wanted, told)| {
            let found = format!("{name} {}", told.unwrap_or_default());
            Finding::new(Rule::RankNames, format!("{name} {wanted}"), found)
        })
        .collect()
}

/// Figures that the claim need not have. A layer that has not one stage of its own may be counted anywhere.
fn counts(replica: &Replica<'_>, one: &Claimed<'_>) -> Vec<Finding> {
    let (plan, load) = (&replica.plan, replica.plan.load(&one.place));
    let mut findings = Vec::new();
    let elsewhere = one.rank.elsewhere.filter(|_| replica.unowned.is_empty());
    if let Some(told) = elsewhere.filter(|told| *told != load.elsewhere) {
        let expected = format!("{} tensors of other stages", load.elsewhere);
        findings.push(Finding::new(Rule::OtherStages, expected, told));
    }
    let unowned = plan.entries.iter().filter(|entry| {
        let home = entry.part.home;
        matches!(home, Home::Layer(layer) if replica.unowned.contains(&layer))
    });
    let share = load.bytes + unowned.map(|entry| entry.declared.bytes).sum::<u64>();
    let most = share + share / 100 * SLACK + plan.header_bytes.unwrap_or(0);
    if let Some(told) = one.rank.bytes_read.filter(|told| *told > most) {
        let expected =
            format!("at most {most} bytes: a share of {share}, {SLACK} % and the headers");
        findings.push(Finding::new(Rule::BytesRead, expected, format!("{told} bytes")));
    }
    findings
}
