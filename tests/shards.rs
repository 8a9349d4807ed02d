//! A certification in parts, as processes: four parts make the same certificate as one run, and whatever
//! is missing, foreign, empty or contradictory is said. Also running cases of a report again.

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;
use tempfile::TempDir;
use weighbridge::harness::case::read::CaseSet;
use weighbridge::harness::record::{Record, Verdict};

use program::{Ran, command, ran, weighbridge};

/// What the parts of these tests certify: quick cases, two canaries among them.
const SOME: [&str; 7] = ["certify", "--profile", "host", "--section", "IV", "--section", "V"];

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn at(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn words<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SOME[..], more].concat()
}

fn record(prefix: &str) -> Record {
    Record::read(format!("{prefix}.json").as_ref()).expect("a report")
}

fn judgement(prefix: &str) -> Value {
    let text = fs::read_to_string(format!("{prefix}.json")).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    report["judgement"].clone()
}

fn verdicts(record: &Record) -> BTreeMap<String, Verdict> {
    record.cases.iter().map(|case| (case.id.clone(), case.verdict)).collect()
}

/// Holds a report against the published schema.
fn of_the_schema(prefix: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/reports/report.schema.json");
    let read = |path: &str| -> Value {
        serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
    };
    let schema = jsonschema::draft202012::new(&read(path)).expect("a schema");
    let report = read(&format!("{prefix}.json"));
    let errors: Vec<String> = schema.iter_errors(&report).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0], "{prefix}");
}

fn merged(reports: &[String], out: &str) -> Ran {
    let reports: Vec<&str> = reports.iter().map(String::as_str).collect();
    weighbridge(&[&["merge", "--out", out][..], &reports].concat())
}

/// Four parts, run at the same time; the paths of their reports.
fn four(folder: &TempDir, name: &str, more: &[&str]) -> Vec<String> {
    let part = |number: u32| {
        let (shard, out) = (format!("{number}/4"), at(folder, &format!("{name}{number}")));
        let mut command = command(&words(&["--shard", &shard, "--out", &out, "--jobs", "1"]));
        command.args(more);
        std::thread::spawn(move || (ran(&mut command), format!("{out}.json")))
    };
    let started: Vec<_> = (1..=4).map(part).collect();
    let ended = started.into_iter().map(|thread| thread.join().expect("a part"));
    let said = |(ran, path): (Ran, String)| {
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("no certificate"), "{}", ran.out);
        assert!(!ran.out.contains("corroborated"), "{}", ran.out);
        for ending in ["md", "junit.xml"] {
            let text = fs::read_to_string(path.replace("json", ending)).expect("a report");
            assert!(text.contains("no certificate") && !text.contains("orroborated"), "{ending}");
        }
        assert_eq!(weighbridge(&["verify", &path]).code, Some(0));
        path
    };
    ended.map(said).collect()
}

#[test]
fn four_parts_are_the_whole_run_and_nothing_less_is() {
    let folder = folder();
    let whole = at(&folder, "whole");
    assert_eq!(weighbridge(&words(&["--seed", "7", "--out", &whole])).code, Some(3));
    let parts = four(&folder, "p", &["--seed", "7", "--costs", &format!("{whole}.json")]);
    let out = at(&folder, "merged");
    let all = merged(&parts, &out);
    assert_eq!(all.code, Some(3), "the other sections are untested: {}{}", all.out, all.err);
    assert_eq!(judgement(&out), judgement(&whole));
    assert_eq!(verdicts(&record(&out)), verdicts(&record(&whole)));
    assert_eq!(weighbridge(&["verify", &format!("{out}.json")]).code, Some(0));
    let runs = record(&out).parts;
    let canaries: Vec<usize> =
        runs.iter().map(|run| run.plan.as_ref().map_or(0, |plan| plan.canaries.len())).collect();
    assert_eq!(canaries, [2; 4], "the same canaries in every part");

    // A part is missing.
    let three = [&parts[..2], &parts[3..]].concat();
    let lacking = merged(&three, &out);
    assert_eq!(lacking.code, Some(3), "{}", lacking.err);
    assert!(lacking.out.contains("part 3 of 4 is missing"), "{}", lacking.out);
    of_the_schema(&out);
    of_the_schema(&at(&folder, "p1"));
    let one = merged(&parts[..1], &out);
    assert_eq!(one.code, Some(3), "{}", one.err);
    assert!(one.out.contains("parts 2 to 4 of 4 are missing"), "{}", one.out);

    // A part twice: the same run is refused, another attempt is welcome.
    let twice = merged(&[&parts[..], &parts[1..2]].concat(), &out);
    assert_eq!(twice.code, Some(2), "{}", twice.out);
    assert!(twice.err.contains("the same run"), "{}", twice.err);
    let (second, costs) = (at(&folder, "second"), format!("{whole}.json"));
    let again = words(&["--seed", "7", "--shard", "2/4", "--costs", &costs, "--out", &second]);
    assert_eq!(weighbridge(&again).code, Some(0));
    let attempts = [&parts[..], &[format!("{second}.json")]].concat();
    assert_eq!(merged(&attempts, &out).code, Some(3));
    assert_eq!(judgement(&out), judgement(&whole));

    // Two attempts that disagree.
    let mut other = record(&second);
    let plan = other.parts[0].plan.clone().expect("a plan");
    let own = other.cases.iter_mut().find(|case| !plan.is_canary(&case.id)).expect("a case");
    // What a run that lost the loader writes.
    (own.verdict, own.reason) = (Verdict::Crash, Some("it came out otherwise".to_owned()));
    let id = own.id.clone();
    other.parts[0].started.push_str(" again");
    other.write(format!("{second}.json").as_ref()).expect("written");
    let disagreeing = merged(&attempts, &out);
    assert_eq!(disagreeing.code, Some(1), "{}", disagreeing.err);
    assert!(disagreeing.out.contains(&format!("disagree about {id}")), "{}", disagreeing.out);
    of_the_schema(&out);

    // A part of another seed.
    let (foreign, shard) = (at(&folder, "foreign"), ["--shard", "3/4", "--seed", "8"]);
    assert_eq!(weighbridge(&words(&[&shard[..], &["--out", &foreign]].concat())).code, Some(0));
    let mixed = merged(&[&three[..], &[format!("{foreign}.json")]].concat(), &out);
    assert_eq!(mixed.code, Some(2), "{}", mixed.out);
    for report in [&parts[0], &format!("{foreign}.json")] {
        let record = Record::read(report.as_ref()).expect("a report");
        let digest = record.parts[0].plan.as_ref().expect("a plan").digest.clone();
        assert!(mixed.err.contains(&digest), "{}", mixed.err);
    }
}

#[test]
fn a_part_that_was_killed_is_resumed_and_merged() {
    let folder = folder();
    let whole = at(&folder, "whole");
    assert_eq!(weighbridge(&words(&["--seed", "7", "--out", &whole])).code, Some(3));
    let parts = four(&folder, "p", &["--seed", "7"]);
    let killed = at(&folder, "killed");
    let journal = format!("{killed}.journal.ndjson");
    let part = ["--seed", "7", "--shard", "2/4", "--out", &killed, "--jobs", "1"];
    let mut run = command(&words(&part)).spawn().expect("the program was built for this test");
    // The header, and a few cases.
    while fs::read(&journal).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count() < 9 {
        assert!(run.try_wait().expect("a child").is_none(), "it ended before it was killed");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    run.kill().expect("killed");
    run.wait().expect("gone");
    let out = at(&folder, "merged");
    let others = [&parts[..1], &parts[2..]].concat();
    let half = merged(&[&others[..], std::slice::from_ref(&journal)].concat(), &out);
    assert_eq!(half.code, Some(3), "{}", half.err);
    assert_ne!(judgement(&out), judgement(&whole), "what it did not decide is untested");
    let resumed = weighbridge(&["certify", "--resume", &journal]);
    assert_eq!(resumed.code, Some(0), "{}{}", resumed.out, resumed.err);
    assert!(resumed.out.contains("part 2 of 4"), "{}", resumed.out);
    assert!(resumed.out.contains("no certificate"), "{}", resumed.out);
    let all = merged(&[&others[..], &[format!("{killed}.json")]].concat(), &out);
    assert_eq!(all.code, Some(3), "{}", all.err);
    assert_eq!(judgement(&out), judgement(&whole));
}

#[test]
fn an_empty_part_fails_and_parts_need_one_seed() {
    let folder = folder();
    let out = at(&folder, "r");
    let lone = ["certify", "--profile", "host", "--case", "F-PARSE-036::readme_smallest"];
    let empty =
        weighbridge(&[&lone[..], &["--seed", "7", "--shard", "1/2", "--out", &out]].concat());
    assert_eq!(empty.code, Some(4), "{}", empty.out);
    assert!(empty.err.contains("part 1/2 has no case of its own"), "{}", empty.err);
    let unseeded = weighbridge(&words(&["--shard", "1/4", "--out", &out]));
    assert_eq!(unseeded.code, Some(2));
    assert!(unseeded.err.contains("--seed, because all parts need one seed"), "{}", unseeded.err);
    for wrong in ["0/4", "5/4", "4", "1/100000"] {
        let ran = weighbridge(&words(&["--seed", "7", "--shard", wrong]));
        assert_eq!(ran.code, Some(2), "{wrong}");
        assert!(ran.err.contains("expected K/N"), "{}", ran.err);
    }
}

#[test]
fn a_frozen_plan_runs_only_where_it_was_made_for() {
    let folder = folder();
    let out = at(&folder, "f");
    let frozen = weighbridge(&words(&["--plan-only", "--out", &out]));
    assert_eq!(frozen.code, Some(0), "{}", frozen.err);
    let path = format!("{out}.plan.json");
    let text = fs::read_to_string(&path).expect("a plan");
    let plan: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(plan["format"], "weighbridge.plan/1");
    assert!(frozen.out.contains(plan["digest"].as_str().expect("a digest")), "{}", frozen.out);

    let run = |more: &[&str]| {
        let plain = ["certify", "--profile", "host", "--plan", &path, "--out", &out];
        weighbridge(&[&plain[..], more].concat())
    };
    let parts: Vec<String> = (1..=2)
        .map(|number| {
            let prefix = at(&folder, &format!("p{number}"));
            let shard = format!("{number}/2");
            let plain = ["certify", "--profile", "host", "--plan", &path];
            let ran = weighbridge(&[&plain[..], &["--shard", &shard, "--out", &prefix]].concat());
            assert_eq!(ran.code, Some(0), "{}", ran.err);
            format!("{prefix}.json")
        })
        .collect();
    let merged_out = at(&folder, "m");
    assert_eq!(merged(&parts, &merged_out).code, Some(3));
    assert_eq!(run(&[]).code, Some(3));
    assert_eq!(judgement(&merged_out), judgement(&out));
    let seed = format!("\"{}\"", record(&out).parts[0].seed);
    assert!(text.contains(&seed), "the plan's seed, not {seed}");

    for (more, wanted) in [
        (&["--seed", "7"][..], "cannot be used with"),
        (&["--case", "F-PARSE"], "cannot be used with"),
    ] {
        let ran = run(more);
        assert_eq!(ran.code, Some(2), "{}", ran.out);
        assert!(ran.err.contains(wanted), "{}", ran.err);
    }
    let exe = env!("CARGO_BIN_EXE_weighbridge");
    let manifest = at(&folder, "m.yaml");
    let said = format!("name: other\ncommand: [{exe:?}, mutant, half-zeros]\n");
    fs::write(&manifest, said).expect("a manifest");
    let other = run(&["--loader", &manifest]);
    assert_eq!(other.code, Some(2), "{}", other.out);
    assert!(other.err.contains("adapter: expected program"), "{}", other.err);
    let full = weighbridge(&["certify", "--profile", "build", "--plan", &path]);
    assert_eq!(full.code, Some(2));
    assert!(full.err.contains("add --profile host"), "{}", full.err);
    fs::write(&path, text.replacen("readme_smallest", "readme_smaller", 1)).expect("changed");
    let changed = run(&[]);
    assert_eq!(changed.code, Some(2), "{}", changed.out);
    assert!(changed.err.contains("was changed after it was made"), "{}", changed.err);
}

#[test]
fn costs_come_from_a_report() {
    let folder = folder();
    let (first, plan) = (at(&folder, "first"), at(&folder, "second"));
    assert_eq!(weighbridge(&words(&["--out", &first])).code, Some(3));
    let costs = format!("{first}.json");
    let made = weighbridge(&words(&["--plan-only", "--costs", &costs, "--out", &plan, "--json"]));
    let made: Value = serde_json::from_str(&made.out).expect("JSON");
    let known = |made: &Value| {
        let cases = made["cases"].as_array().cloned().unwrap_or_default();
        cases.iter().filter(|case| case["cost_us"].is_u64()).count() * 100 / cases.len()
    };
    assert_eq!(known(&made), 100);
    let made = weighbridge(&words(&["--plan-only", "--out", &plan, "--json"]));
    assert_eq!(known(&serde_json::from_str(&made.out).expect("JSON")), 0);
    let useless = weighbridge(&words(&["--costs", &costs]));
    assert_eq!(useless.code, Some(2));
    assert!(useless.err.contains("--plan-only"), "{}", useless.err);
}

#[test]
fn failures_run_again_and_the_first_one_may_end_a_run() {
    let folder = folder();
    let exe = env!("CARGO_BIN_EXE_weighbridge");
    let manifest = at(&folder, "m.yaml");
    let said = format!("name: liar\ncommand: [{exe:?}, mutant, half-zeros]\n");
    fs::write(&manifest, said).expect("a manifest");
    let certify = |name: &str, more: &[&str]| {
        let out = at(&folder, name);
        let plain = ["certify", "--profile", "host", "--jobs", "1", "--out", &out];
        (weighbridge(&[&plain[..], more].concat()), out)
    };
    let liar = ["--section", "V", "--loader", &manifest];
    let (ran, first) = certify("first", &liar);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let failed: BTreeSet<String> = record(&first)
        .cases
        .into_iter()
        .filter(|case| case.verdict.refutes())
        .map(|case| case.id)
        .collect();
    assert!(failed.len() > 1);
    let report = format!("{first}.json");
    let (ran, again) = certify("again", &["--failed-from", &report, "--loader", &manifest]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let repeated = record(&again);
    assert_eq!(repeated.cases.iter().map(|case| case.id.clone()).collect::<BTreeSet<_>>(), failed);
    assert_eq!(repeated.parts[0].seed, record(&first).parts[0].seed);
    assert!(repeated.parts[0].selection.as_ref().is_some_and(|it| it.contains("--failed-from")));

    // A report about another loader says nothing of this one.
    let mut foreign = record(&first);
    foreign.subject.loader = "another".to_owned();
    foreign.write(at(&folder, "foreign").as_ref()).expect("written");
    let (other, _) = certify("other", &["--failed-from", &at(&folder, "foreign")]);
    assert_eq!(other.code, Some(2), "{}", other.out);
    assert!(other.err.contains("--loader"), "{}", other.err);
    // Nor does one of another profile.
    let mut wide = record(&first);
    wide.subject.profile = "full".to_owned();
    wide.write(at(&folder, "wide").as_ref()).expect("written");
    let (other, _) =
        certify("other", &["--failed-from", &at(&folder, "wide"), "--loader", &manifest]);
    assert_eq!(other.code, Some(2), "{}", other.out);
    assert!(other.err.contains("is about full, and this run is of host"), "{}", other.err);
    let (none, _) = certify("none", &["--untested-from", &report, "--loader", &manifest]);
    assert_eq!(none.code, Some(4), "{}", none.err);

    let (ran, stopped) = certify("stopped", &[&liar[..], &["--fail-fast"]].concat());
    assert_eq!(ran.code, Some(1));
    let cases = record(&stopped).cases;
    let refuted: Vec<_> = cases.iter().filter(|case| case.verdict.refutes()).collect();
    assert_eq!(refuted.len(), 1, "one job, so one refutation");
    let untested = cases.iter().filter(|case| case.verdict == Verdict::Untested);
    let why = format!("not tried: --fail-fast, and {} refuted the loader", refuted[0].id);
    let left: Vec<&str> = untested.filter_map(|case| case.reason.as_deref()).collect();
    assert!(left.len() > 1 && left.iter().all(|reason| *reason == why), "{left:?}");
    let report = format!("{stopped}.json");
    let both = ["--failed-from", &report, "--untested-from", &report, "--loader", &manifest];
    let (ran, both) = certify("both", &both);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert_eq!(record(&both).cases.len(), left.len() + 1);

    // One seed makes the same cases again, so there must be one.
    for (seed, words) in
        [("0000000000000001", "several seeds: "), ("seven", "the report's seed is")]
    {
        let mut other = record(&first);
        other.parts[0].seed = seed.to_owned();
        let from = at(&folder, "seeds");
        other.write(from.as_ref()).expect("written");
        let more = ["--failed-from", &from, "--loader", &manifest, "--untested-from", &report];
        let more = if seed == "seven" { &more[..4] } else { &more[..] };
        let (ran, _) = certify("seeded", more);
        assert_eq!(ran.code, Some(2), "{seed}: {}", ran.out);
        assert!(ran.err.contains(words), "{}", ran.err);
    }
}

#[test]
fn a_whole_id_is_exact_and_a_file_gives_many() {
    let folder = folder();
    let run = |word: &str| {
        let out = at(&folder, "r");
        let ran = weighbridge(&["certify", "--profile", "host", "--case", word, "--out", &out]);
        assert_eq!(ran.code, Some(3), "{}", ran.err);
        record(&out).cases.into_iter().map(|case| case.id).collect::<Vec<_>>()
    };
    // This id is the beginning of others.
    let id = "UT-WARM-001::digest_at_block_edge_1";
    assert_eq!(run(id), [id]);
    assert!(run("digest_at_block_edge_1").len() > 1);
    let file = at(&folder, "ids");
    fs::write(&file, format!("# two\n{id}\nF-PARSE-036::readme_smallest\n")).expect("a file");
    assert_eq!(run(&format!("@{file}")), ["F-PARSE-036::readme_smallest", id]);
}

#[test]
fn canaries_are_quick_and_run_on_every_machine() {
    let cases = CaseSet::embedded(&weighbridge::mutants::names()).expect("cases");
    let canaries: Vec<_> = cases.cases().iter().filter(|case| case.canary).collect();
    assert!((5..=12).contains(&canaries.len()), "{} canaries", canaries.len());
    for case in &canaries {
        assert!(case.needs.is_empty() && !case.alone && !case.fresh_process, "{}", case.id());
    }
    let of: BTreeSet<&str> = canaries.iter().map(|case| case.requirement.as_str()).collect();
    assert_eq!(of.len(), canaries.len(), "each from another requirement");
}
