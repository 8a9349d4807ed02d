//! Checks single comparisons: the two texts and their relation say whether the check held.

use super::findings::Findings;
use crate::harness::record::{CaseRecord, Check, EARLIER_FORMAT, Record};

impl Findings {
    /// Every check whose own texts contradict it, and every one that is marked as policy although it held.
    pub(super) fn checks(&mut self, record: &Record) {
        let earlier = record.format == EARLIER_FORMAT;
        for case in &record.cases {
            for check in case.steps.iter().flat_map(|step| &step.checks) {
                self.check(case, check, earlier);
            }
        }
    }

    fn check(&mut self, case: &CaseRecord, check: &Check, earlier: bool) {
        let Check { what, expected, found, held, policy, .. } = check;
        match (check.derived(), earlier) {
            (Some(_), true) => self.unless(false, &case.id, || {
                format!("{what}: it has a relation, which the record's format does not have")
            }),
            (None, false) => self.unless(false, &case.id, || format!("{what}: it has no relation")),
            (Some(derived), false) => self.unless(derived == *held, &case.id, || {
                let relation = check.relation.map_or("", |relation| relation.name());
                let told = if *held { "held" } else { "did not hold" };
                format!(
                    "{what}: expected {expected}, found {found} ({relation}), and the record says \
                     that it {told}"
                )
            }),
            (None, true) => {}
        }
        self.unless(!(*policy && *held), &case.id, || {
            format!("{what}: it held, and is marked as policy")
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::harness::record::{EARLIER_FORMAT, Relation, sample};

    fn found(change: impl FnOnce(&mut crate::harness::record::Record)) -> Vec<String> {
        let mut record = sample::record();
        change(&mut record);
        record.verify().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn texts_and_relation_say_whether_a_check_held() {
        let check = |relation, expected: &str, text: &str, held| {
            found(|record| {
                let check = &mut record.cases[0].steps[0].checks[0];
                (check.relation, check.held) = (Some(relation), held);
                (check.expected, check.found) = (expected.to_owned(), text.to_owned());
            })
        };
        assert_eq!(check(Relation::Within, "at most 5", "5", true), [] as [&str; 0]);
        assert_eq!(
            check(Relation::Within, "at most 5", "7", true),
            ["LOAD-001::whole_file: answer: expected at most 5, found 7 (within), and the record \
              says that it held"]
        );
        let untold = check(Relation::Equals, "a", "a", false);
        assert!(untold.iter().any(|one| one.ends_with("says that it did not hold")), "{untold:?}");
    }

    #[test]
    fn a_record_has_its_relations_or_is_of_the_earlier_format() {
        let without = |record: &mut crate::harness::record::Record| {
            let steps = record.cases.iter_mut().flat_map(|case| &mut case.steps);
            steps.flat_map(|step| &mut step.checks).for_each(|check| check.relation = None);
        };
        assert!(found(without)[0].ends_with("it has no relation"));
        let earlier = found(|record| {
            without(record);
            record.format = EARLIER_FORMAT.to_owned();
        });
        assert_eq!(earlier, [] as [&str; 0]);
        let mixed = found(|record| record.format = EARLIER_FORMAT.to_owned());
        assert!(mixed[0].ends_with("which the record's format does not have"));
    }
}
