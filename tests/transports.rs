//! The same cases in process and over the pipe give the same verdicts: what the judge sees of a
//! loader does not depend on how it reaches it.

use std::collections::BTreeMap;

use weighbridge::cli::weighing::{Embedded, Weighing};
use weighbridge::contract::Loader;
use weighbridge::harness::against;
use weighbridge::harness::manifest::Manifest;
use weighbridge::harness::record::{CaseRecord, Record, Report, Stored, Verdict};
use weighbridge::harness::run::case_run::setting::Reach;
use weighbridge::harness::run::{Progress, Run, Selection, Setting, Suite};
use weighbridge::mutants::by_name;

struct Silent;

impl Progress for Silent {
    fn decided(&self, _case: &CaseRecord) {}
}

/// The host cases that are selected, by id, with their verdicts and reasons.
fn verdicts(
    reach: Reach,
    arguments: &[&str],
    selection: &Selection,
) -> BTreeMap<String, (Verdict, Option<String>)> {
    let cases = record(reach, arguments, selection, &embedded()).cases;
    by_id(cases)
}

fn by_id(cases: Vec<CaseRecord>) -> BTreeMap<String, (Verdict, Option<String>)> {
    cases.into_iter().map(|case| (case.id, (case.verdict, case.reason))).collect()
}

fn embedded() -> Embedded {
    Embedded::read().unwrap_or_else(|stop| panic!("{}", stop.message))
}

/// The record of a run of the host cases that are selected.
fn record(reach: Reach, arguments: &[&str], selection: &Selection, embedded: &Embedded) -> Record {
    let profile = embedded.profile("host").unwrap_or_else(|stop| panic!("{}", stop.message));
    let weighing = Weighing { seed: Some(7), ..Weighing::strict() };
    let (setting, _scratch) =
        weighing.setting(profile).unwrap_or_else(|stop| panic!("{}", stop.message));
    let mut manifest = Manifest::reference(env!("CARGO_BIN_EXE_weighbridge").as_ref())
        .expect("the program was built for this test");
    manifest.written.command.truncate(1);
    manifest.written.command.extend(arguments.iter().map(|&word| word.to_owned()));
    let setting = Setting { manifest, reach, ..setting };
    let suite = Suite { spec: &embedded.spec, cases: &embedded.cases, profile, selection };
    let run = Run::begin(setting, suite).expect("the loader answers");
    run.carry_out(&Silent)
}

/// How many cases were compared, and how many failed.
struct Compared {
    cases: usize,
    failed: usize,
}

/// Whether a case is about the loader's process, and cannot be tried without one.
fn needs_process((verdict, reason): &(Verdict, Option<String>)) -> bool {
    let said = || reason.as_ref().is_some_and(|why| why.contains("in its own process"));
    *verdict == Verdict::Untested && said()
}

fn same_both_ways(
    make: fn() -> Box<dyn Loader + Send>,
    arguments: &[&str],
    sections: &[&str],
) -> Compared {
    let sections = sections.iter().map(|&section| section.to_owned()).collect();
    let selection = Selection { sections, ..Selection::default() };
    let piped = verdicts(Reach::Process, arguments, &selection);
    let direct = verdicts(Reach::InProcess(make), arguments, &selection);
    assert_eq!(piped.len(), direct.len());
    let failed = piped.values().filter(|(verdict, _)| *verdict == Verdict::Fail).count();
    for (id, (verdict, reason)) in &piped {
        let (other, why) = &direct[id];
        if !needs_process(&direct[id]) {
            assert_eq!(verdict, other, "{id}: {reason:?} over the pipe, {why:?} in process");
        }
    }
    Compared { cases: piped.len(), failed }
}

/// A lie is told in these sections, and fails there, whichever way it is told.
fn a_lie_fails_both_ways(name: &str, sections: &[&str]) {
    let make = by_name(name).expect("a mutant of that name").make;
    let compared = same_both_ways(make, &["mutant", name], sections);
    assert!(compared.failed > 10, "only {} of {} cases fail", compared.failed, compared.cases);
}

/// Three cases of each requirement, and what they record is what `verify` expects of them. That the reference passes
/// all of them over the pipe is the first trial of `tests/audit.rs`.
#[test]
fn the_reference_passes_in_process() {
    let make =
        || -> Box<dyn Loader + Send> { Box::new(weighbridge::loader::ReferenceLoader::new()) };
    let embedded = embedded();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let some = embedded.cases.cases().iter().filter(|case| {
        let seen = count.entry(&case.requirement).or_default();
        *seen += 1;
        *seen <= 3
    });
    let ids = some.map(|case| case.id()).collect();
    let selection = Selection { ids, ..Selection::default() };
    let record = record(Reach::InProcess(make), &["loader"], &selection, &embedded);
    assert_eq!(differences(&record, &embedded), Vec::<String>::new());
    let direct = by_id(record.cases);
    assert!(direct.len() > 350, "only {} cases", direct.len());
    let (left_out, tried): (Vec<_>, Vec<_>) =
        direct.iter().partition(|(_, decided)| needs_process(decided));
    for (id, (verdict, reason)) in tried {
        assert_eq!(*verdict, Verdict::Pass, "{id}: {reason:?}");
    }
    // Those of section CONDUCT, and those that count processes, descriptors and memory.
    assert!(left_out.len() < 40, "{} cases are left out", left_out.len());
}

/// What `verify` says of the cases of a record.
fn differences(record: &Record, embedded: &Embedded) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.json");
    std::fs::write(&path, Report::of(record.clone()).to_json().expect("JSON")).expect("writable");
    let verified = against::verify(&Stored::read(&path).expect("a report"), embedded.own());
    assert!(verified.own_suite, "{:?}", verified.mismatches);
    let told = verified.mismatches.iter().map(ToString::to_string);
    // The other cases were not selected by a command line, so nothing says that they were left out.
    let of_a_case = |told: &String| told.contains("::") && !told.ends_with("scheduled, found none");
    told.filter(of_a_case).collect()
}

#[test]
fn halved_weights_fail_both_ways() {
    a_lie_fails_both_ways("half-zeros", &["IV", "V", "PASSTHROUGH"]);
}

#[test]
fn accepted_damage_fails_both_ways() {
    a_lie_fails_both_ways("overlap-accepted", &["IV", "IX"]);
}

#[test]
fn skipped_gates_fail_both_ways() {
    a_lie_fails_both_ways("skipped-gate", &["DATA-QUALITY", "CONTRACT-GATE", "NO-SILENT-SKIP"]);
}
