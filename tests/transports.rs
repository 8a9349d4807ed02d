//! The same cases in process and over the pipe give the same verdicts: what the judge sees of a
//! loader does not depend on how it reaches it.

use std::collections::BTreeMap;

use weighbridge::cli::weighing::{Embedded, Weighing};
use weighbridge::contract::Loader;
use weighbridge::harness::manifest::Manifest;
use weighbridge::harness::record::{CaseRecord, Verdict};
use weighbridge::harness::run::case_run::setting::Reach;
use weighbridge::harness::run::{Progress, Run, Selection, Setting, Suite};
use weighbridge::mutants::by_name;

struct Silent;

impl Progress for Silent {
    fn decided(&self, _case: &CaseRecord) {}
}

/// Every host case, by id, with its verdict and reason.
fn verdicts(reach: Reach, arguments: &[&str]) -> BTreeMap<String, (Verdict, Option<String>)> {
    let embedded = Embedded::read().unwrap_or_else(|stop| panic!("{}", stop.message));
    let profile = embedded.profile("host").unwrap_or_else(|stop| panic!("{}", stop.message));
    let weighing = Weighing { seed: Some(7), ..Weighing::strict() };
    let (setting, _scratch) =
        weighing.setting(profile).unwrap_or_else(|stop| panic!("{}", stop.message));
    let mut manifest = Manifest::reference(env!("CARGO_BIN_EXE_weighbridge").as_ref())
        .expect("the program was built for this test");
    manifest.written.command.truncate(1);
    manifest.written.command.extend(arguments.iter().map(|&word| word.to_owned()));
    let setting = Setting { manifest, reach, ..setting };
    let selection = Selection::default();
    let suite =
        Suite { spec: &embedded.spec, cases: &embedded.cases, profile, selection: &selection };
    let run = Run::begin(setting, suite).expect("the loader answers");
    let cases = run.carry_out(&Silent).cases;
    cases.into_iter().map(|case| (case.id, (case.verdict, case.reason))).collect()
}

/// Compares both ways; returns how many cases were left out because they are about a process.
fn same_both_ways(make: fn() -> Box<dyn Loader + Send>, arguments: &[&str]) -> usize {
    let piped = verdicts(Reach::Process, arguments);
    let direct = verdicts(Reach::InProcess(make), arguments);
    assert_eq!(piped.len(), direct.len());
    assert!(piped.len() > 300, "only {} cases", piped.len());
    let mut left_out = 0;
    for (id, (verdict, reason)) in &piped {
        let (other, why) = &direct[id];
        if *other == Verdict::Untested
            && why.as_ref().is_some_and(|why| why.contains("in its own process"))
        {
            left_out += 1;
            continue;
        }
        assert_eq!(verdict, other, "{id}: {reason:?} over the pipe, {why:?} in process");
    }
    left_out
}

fn mutant(name: &str) -> fn() -> Box<dyn Loader + Send> {
    by_name(name).expect("a mutant of that name").make
}

#[test]
fn the_reference_gets_the_same_verdicts_both_ways() {
    let make =
        || -> Box<dyn Loader + Send> { Box::new(weighbridge::loader::ReferenceLoader::new()) };
    let left_out = same_both_ways(make, &["loader"]);
    // Those of section CONDUCT, and those that count processes, descriptors and memory.
    assert!(left_out < 60, "{left_out} cases are left out");
}

#[test]
fn mutants_get_the_same_verdicts_both_ways() {
    for name in ["half-zeros", "overlap-accepted", "skipped-gate"] {
        same_both_ways(mutant(name), &["mutant", name]);
    }
}
