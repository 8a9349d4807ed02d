//! Classes on made records, at their edges: whole classes, several runs, and tables that cannot be.

use super::tests::{PLAIN, decide, names, outcome, record, table};
use super::{Claims, ClassRow, Standing};
use crate::harness::record::{Record, Report, Verdict, sample};

/// The plain record with one more class, of all cases of its requirements.
fn with_whole() -> Record {
    let mut record = record(&PLAIN);
    let whole = ClassRow {
        name: "whole".to_owned(),
        version: "1.0".to_owned(),
        core: names(&["load", "device.cpu"]),
        host: Some(Vec::new()),
        whole: true,
        requirements: names(&["A-1", "B-2", "C-1", "P-1"]),
        ..ClassRow::default()
    };
    if let Some(table) = &mut record.classes {
        table.classes.push(whole);
    }
    record
}

#[test]
fn a_whole_class_has_policy_and_what_is_not_declared_but_nothing_of_another_device() {
    let earned = outcome(&with_whole(), "whole");
    assert_eq!((earned.outcome, earned.requirements, earned.held), (Standing::Earned, 3, 3));
    assert_eq!(earned.policy, None);
    // B-2 needs widen, which this loader does not declare.
    for id in ["P-1::ours", "B-2::one"] {
        let missed = outcome(&decide(with_whole(), id, Verdict::Fail), "whole");
        assert_eq!(missed.short, names(&[id.split("::").next().unwrap()]));
    }
    let elsewhere = outcome(&decide(with_whole(), "C-1::gpu", Verdict::Fail), "whole");
    assert_eq!(elsewhere.outcome, Standing::Earned);
}

#[test]
fn a_class_that_is_nearer_moves_to_the_front() {
    let all = record(&["load", "device.cuda", "export"]).judge().classes;
    let order: Vec<&str> = all.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(order, ["gpu", "weights", "models"]);
}

#[test]
fn only_what_every_run_declares_is_claimed() {
    let mut record = record(&PLAIN);
    let mut second = record.parts[0].clone();
    second.started = "2026-01-02T04:04:05Z".to_owned();
    second.capabilities.remove("digest");
    record.parts.push(second);
    let one = outcome(&record, "weights");
    assert_eq!((one.requirements, one.not_claimed), (2, names(&["digest", "widen"])));
    // A run on another device says nothing of this one.
    record.parts[1].device = "cuda:0".to_owned();
    record.parts[1].capabilities.insert("device.cuda".to_owned(), "yes".to_owned());
    assert_eq!(outcome(&record, "weights").outcome, Standing::Untested);
    assert_eq!(outcome(&record, "weights").lacks, names(&[]));
}

#[test]
fn the_worst_case_of_a_requirement_decides() {
    let several = |verdicts: [Verdict; 3]| {
        let mut record = record(&PLAIN);
        for (at, verdict) in verdicts.into_iter().enumerate() {
            let id = format!("A-2::x{at}");
            record.cases.push(sample::because(&id, verdict, "because"));
            record.requirements[1].cases.push(id.clone());
            let relies = &mut record.classes.as_mut().unwrap().relies;
            relies.get_mut("load").unwrap().push(id);
        }
        outcome(&record, "weights")
    };
    let (pass, fail, open) = (Verdict::Pass, Verdict::Fail, Verdict::Untested);
    for order in [[pass, open, fail], [fail, open, pass], [open, fail, pass]] {
        assert_eq!(several(order).short, names(&["A-2"]), "{order:?}");
    }
    for order in [[pass, open, pass], [open, pass, pass]] {
        assert_eq!(several(order).open.len(), 1, "{order:?}");
    }
}

#[test]
fn a_case_without_an_object_costs_no_class() {
    let mut record = record(&PLAIN);
    let case = record.cases.iter_mut().find(|case| case.id == "B-1::one").unwrap();
    *case = sample::because("B-1::one", Verdict::Untested, "nothing to try: one process");
    let earned = outcome(&record, "weights");
    assert_eq!((earned.outcome, earned.requirements, earned.held), (Standing::Earned, 2, 2));
    let open = outcome(&decide(record, "B-1::one", Verdict::Untested), "weights");
    assert_eq!(open.outcome, Standing::Untested);
}

#[test]
fn a_class_without_a_case_for_the_loader_is_not_earned() {
    let mut record = record(&["load", "device.cpu", "model.b"]);
    let relies = &mut record.classes.as_mut().unwrap().relies;
    relies.remove("load model.b");
    record.requirements[5].cases.pop();
    record.cases.retain(|case| case.id != "D-1::b");
    let none = outcome(&record, "models");
    assert_eq!((none.outcome, none.requirements), (Standing::Untested, 0));
    assert!(none.remedy.unwrap().contains("no case of the suite"));
}

#[test]
fn verify_notices_a_table_that_is_not_about_the_record() {
    let places = |change: &dyn Fn(&mut super::Table)| -> Vec<String> {
        let mut report = Report::of(record(&PLAIN));
        change(report.record.classes.as_mut().unwrap());
        report.judgement = report.record.judge();
        report.verify().iter().map(ToString::to_string).collect()
    };
    assert_eq!(places(&|_| {}), names(&[]));
    type Change<'a> = &'a dyn Fn(&mut super::Table);
    let changes: [(Change<'_>, &str); 4] = [
        (&|table| table.policy.push("Z-1::none".to_owned()), "Z-1::none: policy, but"),
        (&|table| table.classes[0].requirements.push("Z-1".to_owned()), "class weights: its req"),
        (
            &|table| drop(table.relies.insert("widen".to_owned(), names(&["A-2::one"]))),
            "A-2::one: its needs are listed twice",
        ),
        (&|table| drop(table.relies.remove("load")), "A-2::one: the table of classes does not"),
    ];
    for (change, expected) in changes {
        let found = places(change);
        assert!(found.iter().any(|one| one.starts_with(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn what_the_manifest_names_is_relied_on_only_where_it_is_named() {
    let mut table = table();
    table.relies.insert("program".to_owned(), names(&["Q-1::run"]));
    table.relies.insert("on.host load".to_owned(), names(&["Q-2::host"]));
    let declared = |gpu: bool, named: &[&str]| -> Vec<String> {
        let claims = Claims { declared: ["load"].into_iter().collect(), gpu };
        claims.declared(&table, named).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(declared(false, &[]), ["A-2::one", "Q-2::host"]);
    assert_eq!(declared(false, &["program"]), ["A-2::one", "Q-1::run", "Q-2::host"]);
    assert_eq!(declared(true, &[]), ["A-2::one"]);
}
