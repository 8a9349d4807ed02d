//! Takes the blame from the loader for what failed on a quarantined card: in a run that ends, and in a
//! journal that is read.

use super::{CaseRecord, Part, Verdict};

/// Makes every case untested that failed in a run whose card is quarantined. The reason keeps what was
/// seen, and so do the steps.
pub fn excuse(cases: &mut [CaseRecord], parts: &[Part]) {
    for case in cases.iter_mut() {
        if let Some(why) = because(case, parts) {
            excuse_one(case, &why);
        }
    }
}

/// Why nothing that fails in this case's run is blamed on the loader, if so.
pub fn because(case: &CaseRecord, parts: &[Part]) -> Option<String> {
    let health = parts.get(case.part)?.health.as_ref()?;
    health.quarantined().then(|| health.why()).flatten()
}

/// The same for one case, with why the card is sick.
pub fn excuse_one(case: &mut CaseRecord, why: &str) {
    if case.verdict.refutes() || case.verdict == Verdict::Error {
        let seen = case.reason.take().unwrap_or_default();
        let was = case.verdict.name();
        case.verdict = Verdict::Untested;
        case.reason = Some(format!("the card is quarantined ({why}); seen there: {was}, {seen}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::health::tests::{reading, sick};
    use crate::harness::record::judge::Certificate;
    use crate::harness::record::{Health, Record, sample};

    fn on(health: Health) -> Record {
        let mut record = sample::record();
        record.parts[0].health = Some(health);
        let parts = record.parts.clone();
        excuse(&mut record.cases, &parts);
        record
    }

    #[test]
    fn a_sick_card_takes_the_blame_and_the_run_is_a_class_of_its_own() {
        let record = on(Health { before: vec![reading()], after: vec![sick()], anyway: false });
        assert!(!record.cases.iter().any(|case| case.verdict.refutes()));
        let case = record.cases.iter().find(|case| case.id == "LOAD-002::every_byte").unwrap();
        let reason = case.reason.as_deref().unwrap_or_default();
        assert!(reason.contains("found 3") && reason.contains("seen there: fail"), "{reason}");
        assert!(case.first_broken().is_some(), "the evidence is gone");
        assert_eq!(record.judge().certificate, Certificate::Quarantined);
        assert_eq!(record.verify(), []);
    }

    #[test]
    fn a_healthy_card_and_a_card_used_anyway_excuse_nothing() {
        for health in [
            Health { before: vec![reading()], ..Health::default() },
            Health { before: vec![sick()], after: Vec::new(), anyway: true },
        ] {
            let record = on(health);
            assert_eq!(record.cases, sample::record().cases);
            assert_eq!(record.judge().certificate, Certificate::Refuted);
        }
    }

    #[test]
    fn another_part_that_decides_everything_lifts_the_quarantine() {
        let mut record = sample::clean();
        record.parts[0].health =
            Some(Health { before: vec![sick()], after: Vec::new(), anyway: false });
        assert_eq!(record.judge().certificate, Certificate::Corroborated);
        record.cases.pop();
        assert_eq!(record.judge().certificate, Certificate::Quarantined);
    }
}
