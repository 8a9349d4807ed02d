//! Makes the cases of a table: one for each row, with the same steps and another spelling of the same
//! facts.

use super::Case;
use super::expect::{LoadOutcome, Refusal};
use super::step::Step;
use super::table::Row;

/// The case itself, or the cases of its table.
///
/// # Errors
/// Where a table has no model that its rows can spell.
pub fn cases(mut case: Case) -> Result<Vec<Case>, String> {
    let rows = std::mem::take(&mut case.rows);
    if rows.is_empty() {
        return Ok(vec![case]);
    }
    let one = |(name, row): (String, Row)| {
        let mut case = case.clone();
        case.name = format!("{}_{name}", case.name);
        case.tries = row.tries;
        case.policy = row.policy.or(case.policy);
        if !row.kills.is_empty() {
            (case.kills, case.kills_none_because) = (row.kills, None);
        }
        let main = case.models.get_mut("main").filter(|main| main.random.is_some());
        let main = main.ok_or("a table needs a random model `main`")?;
        main.random = row.random.or(main.random);
        main.spelled = Some(row.spelled);
        for step in &mut case.steps {
            if let Step::Load(load) = step
                && let Some(refusal) = refusal(&mut load.expect)
            {
                refusal.mentions_one_of.clone_from(&row.names);
            }
        }
        Ok(case)
    };
    rows.into_iter().map(one).collect()
}

/// The refusal of an outcome that has one.
fn refusal(outcome: &mut LoadOutcome) -> Option<&mut Refusal> {
    match outcome {
        LoadOutcome::Either(either) => Some(&mut either.refused),
        LoadOutcome::Refused(refusal) => Some(refusal),
        LoadOutcome::Loaded(_) | LoadOutcome::OneOf(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::model::Architecture;

    const TABLE: &str = "
requirement: R
name: base
tries: Nothing by itself.
models: {main: {random: qwen2, output: logits}}
rows:
  top:
    tries: At the top.
    spelled: {drop: [rope_parameters], set: {rope_theta: $rope_theta}}
    names: [rope_theta]
    kills: [deaf]
  other: {tries: In another family., random: llama}
steps:
  - load: {expect: {either: {loaded: [device], refused: {class: refused, code: [invalid_config]}}}}
kills_none_because: nobody misreads it
";

    #[test]
    fn each_row_is_a_case() {
        let table: Case = serde_yaml::from_str(TABLE).expect("a table");
        let all = cases(table).expect("cases");
        let names: Vec<_> = all.iter().map(Case::id).collect();
        assert_eq!(names, ["R::base_other", "R::base_top"]);
        let architectures: Vec<_> = all.iter().map(|case| case.models["main"].random).collect();
        assert_eq!(architectures, [Some(Architecture::Llama), Some(Architecture::Qwen2)]);
        let top = &all[1];
        assert!(top.kills.contains("deaf") && top.kills_none_because.is_none());
        assert!(all[0].kills.is_empty() && all[0].kills_none_because.is_some());
        assert_eq!(top.models["main"].spelled.as_ref().map(|it| it.drop.len()), Some(1));
        let Step::Load(load) = &top.steps[0] else { panic!("no load") };
        let LoadOutcome::Either(either) = &load.expect else { panic!("no choice") };
        assert_eq!(either.refused.mentions_one_of, ["rope_theta"]);
    }

    #[test]
    fn a_table_needs_a_model_to_spell() {
        let bare = TABLE.replace("main: {random: qwen2", "other: {random: qwen2");
        let table: Case = serde_yaml::from_str(&bare).expect("a table");
        assert!(cases(table).is_err_and(|error| error.contains("main")));
    }
}
