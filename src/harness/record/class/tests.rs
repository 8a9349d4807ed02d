//! Classes on made records: earned, missed, untested, not claimed, features and policy.

use crate::harness::record::class::{ClassOutcome, ClassRow, Standing, Table};
use crate::harness::record::judge::Certificate;
use crate::harness::record::{
    Basis, CaseRecord, Check, MergeError, Record, Report, Verdict, merge, sample,
};

pub(super) fn names(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A class of loaders in host memory, one on a GPU, and one that needs either of two models.
pub(super) fn table() -> Table {
    let weights = ClassRow {
        name: "weights".to_owned(),
        version: "1.0".to_owned(),
        core: names(&["load"]),
        host: Some(names(&["device.cpu", "read"])),
        features: names(&["digest", "widen"]),
        requirements: names(&["A-1", "A-2"]),
        ..ClassRow::default()
    };
    let gpu = ClassRow {
        name: "gpu".to_owned(),
        host: None,
        gpu: Some(names(&["device.cuda", "export"])),
        ..weights.clone()
    };
    let models = ClassRow {
        name: "models".to_owned(),
        host: Some(names(&["device.cpu"])),
        one_of: names(&["model.a", "model.b"]),
        about: names(&["model.a", "model.b"]),
        features: Vec::new(),
        requirements: names(&["D-1"]),
        ..weights.clone()
    };
    let relies = [
        ("bytes device load", "A-1::one"),
        ("load", "A-2::one"),
        ("digest load", "B-1::one"),
        ("digest load widen", "B-2::one"),
        ("device load on.gpu", "C-1::gpu"),
        ("load model.a", "D-1::a"),
        ("load model.b", "D-1::b"),
        ("device", "P-1::ours"),
    ];
    Table {
        classes: vec![weights, gpu, models],
        relies: relies.into_iter().map(|(words, id)| (words.to_owned(), names(&[id]))).collect(),
        policy: names(&["P-1::ours"]),
    }
}

/// A run in host memory of a loader that declares these, in which everything passes.
pub(super) fn record(declared: &[&str]) -> Record {
    let ids = ["A-1", "A-2", "B-1", "B-2", "C-1", "D-1", "P-1"];
    let table = table();
    let own = |id: &str| -> Vec<String> {
        let all = table.cases().map(|(case, _)| case.to_owned());
        all.filter(|case| case.starts_with(&format!("{id}::"))).collect()
    };
    let mut part = sample::part("2026-01-02T03:04:05Z");
    part.capabilities = declared.iter().map(|&name| (name.to_owned(), "yes".to_owned())).collect();
    part.capabilities.insert("widen".to_owned(), "no: not yet".to_owned());
    let rows = ids.map(|id| {
        let mut row = sample::row(id, "s", 0, &[]);
        row.cases = own(id);
        row
    });
    Record {
        parts: vec![part],
        requirements: rows.to_vec(),
        cases: table.cases().map(|(case, _)| sample::passed(case, 10)).collect(),
        classes: Some(table),
        ..sample::clean()
    }
}

pub(super) const PLAIN: [&str; 4] = ["load", "device.cpu", "read", "digest"];

pub(super) fn outcome(record: &Record, name: &str) -> ClassOutcome {
    let all = record.judge().classes;
    all.into_iter().find(|class| class.name == name).unwrap_or_else(|| panic!("no {name}"))
}

pub(super) fn decide(mut record: Record, id: &str, verdict: Verdict) -> Record {
    let case = record.cases.iter_mut().find(|case| case.id == id).unwrap();
    *case = sample::because(id, verdict, "because");
    record
}

#[test]
fn what_is_declared_decides_what_a_class_has() {
    let earned = outcome(&record(&PLAIN), "weights");
    assert_eq!((earned.outcome, earned.requirements, earned.held), (Standing::Earned, 3, 3));
    assert_eq!(earned.not_claimed, ["widen"]);
    let features: Vec<&str> = earned.features.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(features, ["digest"]);
    // Without the feature its failures cost nothing.
    let poor = decide(record(&PLAIN[..3]), "B-1::one", Verdict::Fail);
    assert_eq!(outcome(&poor, "weights").outcome, Standing::Earned);
    // Without the core it is not claimed, whatever else is declared.
    let other = outcome(&record(&["load", "digest"]), "weights");
    assert_eq!((other.outcome, other.requirements), (Standing::NotClaimed, 0));
    assert_eq!(other.lacks, ["device.cpu", "read"]);
}

#[test]
fn a_refuted_requirement_is_short_and_a_feature_must_hold_whole() {
    let core = outcome(&decide(record(&PLAIN), "A-2::one", Verdict::Crash), "weights");
    assert_eq!((core.outcome, core.short), (Standing::Missed, names(&["A-2"])));
    let feature = outcome(&decide(record(&PLAIN), "B-1::one", Verdict::Fail), "weights");
    assert_eq!((feature.outcome, feature.short), (Standing::Missed, names(&["B-1"])));
    assert_eq!(feature.features[0].short, ["B-1"]);
    // A rule of warning severity never refutes.
    let mut warned = decide(record(&PLAIN), "A-2::one", Verdict::Fail);
    warned.requirements[1].warning = true;
    assert_eq!(outcome(&warned, "weights").outcome, Standing::Earned);
}

#[test]
fn an_undecided_core_is_untested_with_its_reason() {
    for verdict in [Verdict::Untested, Verdict::Unsupported, Verdict::Error] {
        let open = outcome(&decide(record(&PLAIN), "A-1::one", verdict), "weights");
        assert_eq!((open.outcome, open.held), (Standing::Untested, 2), "{verdict:?}");
        assert_eq!(open.open[0].requirement, "A-1");
        assert_eq!(open.remedy.as_deref(), Some("A-1::one: because"));
    }
    let two = decide(record(&PLAIN), "A-1::one", Verdict::Untested);
    let two = decide(two, "A-2::one", Verdict::Untested);
    let remedy = outcome(&two, "weights").remedy;
    assert_eq!(remedy.as_deref(), Some("A-1::one: because and 1 more"));
    // A rule of warning severity leaves nothing open either.
    let mut warned = decide(record(&PLAIN), "A-2::one", Verdict::Untested);
    warned.requirements[1].warning = true;
    assert_eq!(outcome(&warned, "weights").outcome, Standing::Earned);
    let mut elsewhere = record(&PLAIN);
    elsewhere.cases.retain(|case| case.id == "D-1::a");
    let unweighed = outcome(&elsewhere, "weights");
    let remedy = "this run did not weigh it; use --class weights";
    assert_eq!(unweighed.remedy.as_deref(), Some(remedy));
    let mut left_out = record(&PLAIN);
    left_out.cases.retain(|case| case.id != "A-1::one");
    let open = outcome(&left_out, "weights");
    assert_eq!(open.outcome, Standing::Untested);
    assert!(open.remedy.unwrap().contains("this run did not select it"));
}

#[test]
fn policy_stands_apart() {
    let failed = outcome(&decide(record(&PLAIN), "P-1::ours", Verdict::Fail), "weights");
    assert_eq!(failed.outcome, Standing::Earned);
    let policy = failed.policy.unwrap();
    assert_eq!((policy.requirements, policy.held, policy.short), (1, 0, names(&["P-1"])));
    let held = outcome(&record(&PLAIN), "weights").policy.unwrap();
    assert_eq!((held.requirements, held.held), (1, 1));
}

#[test]
fn a_refusal_in_other_words_is_policy() {
    let mut record = record(&PLAIN);
    let case = record.cases.iter_mut().find(|case| case.id == "A-2::one").unwrap();
    let answer = Check::broken("answer", "refused/overlap", "refused/gap", Basis::Observed);
    case.verdict = Verdict::Fail;
    case.reason = Some("answer".to_owned());
    case.steps[0].checks.push(answer.clone().as_policy());
    let worded = outcome(&record, "weights");
    assert_eq!((worded.outcome, worded.held), (Standing::Earned, 3));
    assert_eq!(worded.policy.unwrap().in_other_words, ["A-2"]);
    record.subject.profile = "declared".to_owned();
    assert_eq!(record.judge().certificate, Certificate::Corroborated);
    assert_eq!(Report::of(record.clone()).verify(), []);
    // One other broken check is enough to miss.
    let case = record.cases.iter_mut().find(|case| case.id == "A-2::one").unwrap();
    case.steps[0].checks.push(answer);
    assert_eq!(outcome(&record, "weights").short, ["A-2"]);
    assert!(!Check::equal("answer", 1, 1, Basis::Observed).as_policy().policy);
}

#[test]
fn one_model_of_several_is_enough() {
    let declared = ["load", "device.cpu", "model.b"];
    let broken = decide(record(&declared), "D-1::a", Verdict::Fail);
    assert_eq!(outcome(&broken, "models").outcome, Standing::Earned);
    let broken = decide(record(&declared), "D-1::b", Verdict::Fail);
    assert_eq!(outcome(&broken, "models").outcome, Standing::Missed);
    let none = outcome(&record(&declared[..2]), "models");
    assert_eq!(none.lacks, ["one of model.a, model.b"]);
}

#[test]
fn a_class_of_another_device_says_what_to_do() {
    let mut record = record(&["load", "device.cpu", "read", "device.cuda", "export"]);
    let elsewhere = outcome(&record, "gpu");
    assert_eq!(elsewhere.outcome, Standing::Untested);
    assert!(elsewhere.remedy.unwrap().contains("--device cuda:0"));
    record.parts[0].device = "cuda:0".to_owned();
    let here = outcome(&record, "gpu");
    // The case that is limited to a GPU counts now, and the other class waits for the host.
    assert_eq!((here.outcome, here.requirements), (Standing::Earned, 3));
    assert!(outcome(&record, "weights").remedy.unwrap().contains("--device cpu"));
}

#[test]
fn the_nearest_class_comes_first() {
    let record = decide(record(&PLAIN), "A-1::one", Verdict::Fail);
    let all = record.judge().classes;
    let order: Vec<_> = all.iter().map(|class| (class.name.as_str(), class.outcome)).collect();
    let not_claimed = Standing::NotClaimed;
    assert_eq!(
        order,
        [("weights", Standing::Missed), ("gpu", not_claimed), ("models", not_claimed)]
    );
}

#[test]
fn the_class_that_was_asked_for_decides_the_certificate() {
    let certificate = |record: &Record, asked: &str| {
        let mut record = record.clone();
        record.subject.profile = asked.to_owned();
        record.judge().certificate
    };
    // A failure outside the class, and one of policy, leave it earned.
    let earned = decide(record(&PLAIN), "D-1::a", Verdict::Fail);
    let earned = decide(earned, "P-1::ours", Verdict::Fail);
    assert_eq!(certificate(&earned, "weights"), Certificate::Corroborated);
    assert_eq!(certificate(&earned, "models"), Certificate::Incomplete);
    assert_eq!(certificate(&earned, "host"), Certificate::Refuted);
    let missed = decide(record(&PLAIN), "A-1::one", Verdict::Fail);
    assert_eq!(certificate(&missed, "weights"), Certificate::Refuted);
    let open = decide(record(&PLAIN), "A-1::one", Verdict::Untested);
    assert_eq!(certificate(&open, "weights"), Certificate::Incomplete);
    // What is declared: one class earned and nothing refuted but policy.
    let policy = decide(record(&PLAIN), "P-1::ours", Verdict::Fail);
    assert_eq!(certificate(&policy, "declared"), Certificate::Corroborated);
    assert_eq!(certificate(&earned, "declared"), Certificate::Refuted);
    assert_eq!(certificate(&record(&["load"]), "declared"), Certificate::Incomplete);
    // A rule of warning severity refutes nothing that is declared.
    let mut warned = decide(record(&PLAIN), "A-2::one", Verdict::Fail);
    warned.requirements[1].warning = true;
    assert_eq!(certificate(&warned, "declared"), Certificate::Corroborated);
}

#[test]
fn verify_notices_an_edited_class_and_an_edited_table() {
    let report = Report::of(decide(record(&PLAIN), "A-1::one", Verdict::Fail));
    assert_eq!(report.verify(), []);
    let places = |report: &Report| -> Vec<String> {
        report.verify().into_iter().map(|one| one.place).collect()
    };
    let mut edited = report.clone();
    edited.judgement.classes[0].outcome = Standing::Earned;
    assert_eq!(places(&edited), ["class weights"]);
    let mut edited = report.clone();
    edited.judgement.classes.remove(0);
    assert_eq!(places(&edited), ["classes"]);
    let mut edited = report.clone();
    edited.record.classes.as_mut().unwrap().relies.remove("bytes device load");
    assert!(places(&edited).contains(&"A-1::one".to_owned()));
    let mut edited = report;
    edited.record.classes.as_mut().unwrap().policy.push("A-1::one".to_owned());
    assert!(places(&edited).contains(&"class weights".to_owned()));
}

#[test]
fn the_classes_of_parts_are_those_of_the_whole() {
    let whole = record(&PLAIN);
    let halves = |odd: usize| {
        let cases: Vec<CaseRecord> = whole.cases.iter().skip(odd).step_by(2).cloned().collect();
        let mut half = Record { cases, ..whole.clone() };
        half.parts[0].started = format!("T{odd}");
        half
    };
    let untested = outcome(&halves(0), "weights");
    assert_eq!(untested.outcome, Standing::Untested);
    let merged = merge(vec![halves(0), halves(1)]).unwrap();
    assert_eq!(outcome(&merged, "weights"), outcome(&whole, "weights"));
    let mut other = halves(1);
    other.classes.as_mut().unwrap().classes.pop();
    assert_eq!(merge(vec![halves(0), other]), Err(MergeError::Classes { record: 2 }));
}
