//! Tests each rule for deriving verdicts on the smallest record that shows it.

use proptest::prelude::*;

use crate::harness::record::judge::*;
use crate::harness::record::sample;
use crate::harness::record::sample::{because, passed, row};

/// Judges rows (whose single case is `ID::a`) with one case a verdict given.
fn judge(rows: &[(&str, bool)], verdicts: &[(&str, Verdict)]) -> Judgement {
    let requirements = rows
        .iter()
        .map(|(id, warning)| RequirementRow { warning: *warning, ..row(id, "s", 10, &["a", "b"]) })
        .collect();
    let cases = verdicts
        .iter()
        .map(|(id, verdict)| match verdict {
            Verdict::Pass => passed(id, 10),
            other => because(id, *other, "it is so"),
        })
        .collect();
    Record { requirements, cases, ..sample::record() }.judge()
}

fn one(first: Verdict, second: Verdict) -> Judgement {
    judge(&[("R-1", false)], &[("R-1::a", first), ("R-1::b", second)])
}

#[test]
fn the_worst_case_decides_whatever_the_order() {
    for worse in Verdict::ALL {
        for better in Verdict::ALL.into_iter().filter(|verdict| *verdict <= worse) {
            assert_eq!(one(worse, better).requirements[0].verdict, worse);
            assert_eq!(one(better, worse).requirements[0].verdict, worse);
        }
    }
    let judgement = one(Verdict::Pass, Verdict::Crash);
    assert_eq!(judgement.requirements[0].because, "R-1::b: it is so");
}

#[test]
fn a_case_without_an_object_does_not_count_beside_another() {
    let without = |id: &str| because(id, Verdict::Untested, "nothing to try: one process");
    let decided = |cases: Vec<CaseRecord>| {
        let requirements = vec![row("R-1", "s", 10, &["a", "b"])];
        Record { requirements, cases, ..sample::record() }.judge()
    };
    for verdict in Verdict::ALL {
        let other = match verdict {
            Verdict::Pass => passed("R-1::a", 10),
            other => because("R-1::a", other, "it is so"),
        };
        let judgement = decided(vec![other, without("R-1::b")]);
        assert_eq!(judgement.requirements[0].verdict, verdict);
    }
    let judgement = decided(vec![without("R-1::a"), without("R-1::b")]);
    assert_eq!(judgement.requirements[0].verdict, Verdict::Untested);
    assert_eq!(judgement.certificate, Certificate::Incomplete);
    // Only a case that was not tried can lack its object.
    let failed = because("R-1::b", Verdict::Fail, "nothing to try: one process");
    let judgement = decided(vec![passed("R-1::a", 10), failed]);
    assert_eq!(judgement.requirements[0].verdict, Verdict::Fail);
}

#[test]
fn a_missing_case_leaves_the_requirement_untested() {
    let judgement = judge(&[("R-1", false)], &[("R-1::a", Verdict::Pass)]);
    assert_eq!(judgement.requirements[0].verdict, Verdict::Untested);
    assert_eq!(judgement.requirements[0].because, "not selected: R-1::b");
    assert_eq!(judgement.certificate, Certificate::Incomplete);
    assert_eq!(judgement.points, 0);
    assert_eq!(judgement.denominator.cases_not_scheduled, 1);

    let judgement = judge(&[("R-1", false)], &[("R-1::a", Verdict::Fail)]);
    assert_eq!(judgement.requirements[0].verdict, Verdict::Fail, "a failure outweighs a gap");

    let mut record = sample::clean();
    record.requirements.push(row("R-9", "s", 1, &[]));
    let judgement = record.judge();
    assert_eq!(
        judgement.requirements.last().map(|last| last.because.as_str()),
        Some("no case yet")
    );
    assert_eq!(judgement.denominator.without_case, 1);
    assert_eq!(judgement.certificate, Certificate::Incomplete);
}

#[test]
fn a_rule_of_warning_severity_warns_and_refutes_nothing() {
    for verdict in [Verdict::Fail, Verdict::Crash, Verdict::Timeout] {
        let judgement = judge(&[("R-1", true)], &[("R-1::a", Verdict::Pass), ("R-1::b", verdict)]);
        assert_eq!(judgement.requirements[0].verdict, Verdict::Warning);
        assert_eq!(judgement.points, 0, "a warning scores nothing");
        assert_eq!(judgement.certificate, Certificate::Corroborated);
    }
    let judgement = judge(&[("R-1", true)], &[("R-1::a", Verdict::Error)]);
    assert_eq!(judgement.certificate, Certificate::HarnessError);
    let judgement = judge(&[("R-1", true)], &[]);
    assert_eq!(judgement.requirements[0].verdict, Verdict::Untested);
    assert_eq!(judgement.certificate, Certificate::Corroborated);
}

#[test]
fn the_certificate_follows_from_the_worst_requirement() {
    let of = |verdict| one(Verdict::Pass, verdict).certificate;
    assert_eq!(of(Verdict::Pass), Certificate::Corroborated);
    assert_eq!(of(Verdict::Unsupported), Certificate::Incomplete);
    assert_eq!(of(Verdict::Untested), Certificate::Incomplete);
    assert_eq!(of(Verdict::Timeout), Certificate::Refuted);
    assert_eq!(of(Verdict::Crash), Certificate::Refuted);
    assert_eq!(of(Verdict::Fail), Certificate::Refuted);
    assert_eq!(of(Verdict::Error), Certificate::HarnessError);
    assert_eq!(judge(&[], &[]).certificate, Certificate::Incomplete, "nothing is no certificate");
    let mixed = judge(
        &[("R-1", false), ("R-2", false)],
        &[
            ("R-1::a", Verdict::Untested),
            ("R-1::b", Verdict::Pass),
            ("R-2::a", Verdict::Fail),
            ("R-2::b", Verdict::Pass),
        ],
    );
    assert_eq!(mixed.certificate, Certificate::Refuted, "a refutation outweighs a gap");
}

#[test]
fn a_refutation_outranks_a_fault_of_the_harness() {
    let judgement = one(Verdict::Error, Verdict::Fail);
    assert_eq!(judgement.requirements[0].verdict, Verdict::Fail);
    assert_eq!(judgement.certificate, Certificate::Refuted);
    let apart = judge(
        &[("R-1", false), ("R-2", false)],
        &[
            ("R-1::a", Verdict::Error),
            ("R-1::b", Verdict::Pass),
            ("R-2::a", Verdict::Crash),
            ("R-2::b", Verdict::Pass),
        ],
    );
    assert_eq!(apart.certificate, Certificate::Refuted);
    assert_eq!(apart.requirements[0].verdict, Verdict::Error, "it is named all the same");
    // A warning refutes nothing, so the fault decides.
    let warned = judge(&[("R-1", true)], &[("R-1::a", Verdict::Fail), ("R-1::b", Verdict::Error)]);
    assert_eq!(warned.certificate, Certificate::HarnessError);
    assert_eq!(warned.requirements[0].because, "R-1::b: it is so");
}

#[test]
fn only_passes_score_and_what_lies_outside_is_counted_apart() {
    let judgement = sample::record().judge();
    assert_eq!((judgement.points, judgement.points_in_profile), (8, 34));
    assert_eq!(judgement.points_declared, 42);
    let sums = &judgement.denominator;
    assert_eq!((sums.declared, sums.outside_profile, sums.in_profile), (12, 1, 11));
    assert_eq!((sums.cases_declared, sums.cases_not_scheduled, sums.cases_scheduled), (11, 1, 10));
    assert_eq!(sums.without_case, 1);
    assert_eq!(judgement.sections.len(), 3, "a section outside the profile has no row");
    assert_eq!(judgement.sections[0].points_passed, 8);
}

proptest! {
    #[test]
    fn sums_close_and_a_perfect_score_means_what_it_says(record in records()) {
        let judgement = record.judge();
        let sums = &judgement.denominator;
        prop_assert_eq!(sums.declared, sums.outside_profile + sums.in_profile);
        prop_assert_eq!(sums.in_profile, sums.by_verdict.values().sum::<u64>());
        prop_assert_eq!(sums.in_profile, judgement.requirements.len() as u64);
        prop_assert_eq!(sums.cases_declared, sums.cases_not_scheduled + sums.cases_scheduled);
        prop_assert_eq!(sums.cases_scheduled, sums.cases_by_verdict.values().sum::<u64>());
        prop_assert_eq!(sums.cases_scheduled, record.cases.len() as u64);
        prop_assert_eq!(
            judgement.points,
            judgement.sections.iter().map(|row| row.points_passed).sum::<u64>()
        );
        prop_assert!(judgement.points <= judgement.points_in_profile);
        prop_assert!(judgement.points_in_profile <= judgement.points_declared);
        for row in &judgement.sections {
            prop_assert_eq!(row.requirements, row.by_verdict.values().sum::<u64>());
        }
        let all_passed = sums.by_verdict.keys().all(|verdict| *verdict == Verdict::Pass);
        if all_passed && sums.in_profile > 0 {
            prop_assert_eq!(sums.cases_not_scheduled, 0);
            prop_assert_eq!(judgement.certificate, Certificate::Corroborated);
            prop_assert_eq!(judgement.points, judgement.points_in_profile);
        }
        prop_assert_eq!(record.verify(), []);
    }
}

/// Records of up to eight requirements, each with up to three cases, scheduled or not.
fn records() -> impl Strategy<Value = Record> {
    let verdict = prop::option::of(prop::sample::select(Verdict::ALL.to_vec()));
    let requirement =
        (0..3_u64, any::<bool>(), any::<bool>(), prop::collection::vec(verdict, 0..4));
    prop::collection::vec((requirement, 0..20_u64), 0..8).prop_map(|rows| {
        let mut record = Record { requirements: vec![], cases: vec![], ..sample::record() };
        for (index, ((section, warning, in_profile, verdicts), points)) in
            rows.into_iter().enumerate()
        {
            let id = format!("R-{index}");
            let names: Vec<String> = (0..verdicts.len()).map(|n| format!("c{n}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let row = row(&id, &format!("section {section}"), points, &names);
            record.requirements.push(RequirementRow { warning, in_profile, ..row });
            for (number, verdict) in verdicts.into_iter().enumerate() {
                let id = format!("{id}::c{number}");
                let case = match verdict {
                    Some(Verdict::Pass) => passed(&id, 10),
                    Some(Verdict::Warning) if !warning => continue,
                    Some(verdict) => because(&id, verdict, "drawn so"),
                    None => continue,
                };
                record.cases.extend(in_profile.then_some(case));
            }
        }
        if record.requirements.is_empty() {
            record.requirements.push(row("R-0", "s", 1, &[]));
        }
        record
    })
}
