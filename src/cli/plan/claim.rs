//! What is wrong with a claimed plan, rule by rule.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::plan::{Finding, Judgement};

/// Findings of a rule that are printed; the others are counted.
const SHOWN: usize = 5;

/// For people: each broken rule with its first findings.
pub fn text(judgement: &Judgement) -> String {
    let rules = by_rule(judgement);
    let mut text = String::new();
    for (rule, findings) in &rules {
        text += &format!("rule {} broken: {}\n", rule.number(), rule.text());
        for finding in findings.iter().take(SHOWN) {
            text += &format!("  {finding}\n");
        }
        if findings.len() > SHOWN {
            text += &format!("  and {} more\n", findings.len() - SHOWN);
        }
    }
    text + &match (rules.len(), judgement.refused) {
        (0, true) => "the loader refuses, which breaks no rule\n".to_owned(),
        (0, false) => "the claimed plan breaks no rule\n".to_owned(),
        (count, _) => format!("broken: {count} rules in {} places\n", judgement.findings.len()),
    }
}

/// For programs: every finding.
pub fn value(judgement: &Judgement) -> Value {
    let rules: Vec<Value> = by_rule(judgement)
        .into_iter()
        .map(|(rule, findings)| {
            json!({"rule": rule, "text": rule.text(), "findings": findings.len()})
        })
        .collect();
    json!({
        "holds": judgement.findings.is_empty(),
        "refused": judgement.refused,
        "rules_broken": rules,
        "findings": judgement.findings,
    })
}

fn by_rule(judgement: &Judgement) -> BTreeMap<crate::harness::plan::Rule, Vec<&Finding>> {
    let mut rules: BTreeMap<_, Vec<&Finding>> = BTreeMap::new();
    for finding in &judgement.findings {
        rules.entry(finding.rule).or_default().push(finding);
    }
    rules
}
