//! Every form of a report, from a made-up record: snapshots, the schema, and what must hold
//! whatever the record.

mod redact;
#[path = "../src/harness/record/sample.rs"]
mod sample;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use proptest::prelude::*;
use weighbridge::cli::weighing::Embedded;
use weighbridge::cli::{compare, exit, merge, report, verify};
use weighbridge::harness::record::journal::{Header, Journal, Scheduled};
use weighbridge::harness::record::merge as merge_records;
use weighbridge::harness::record::*;
use weighbridge::harness::report::compare::{Change, Comparison};
use weighbridge::harness::report::failure::worst;
use weighbridge::harness::report::{Format, Titles, first_failure, render, write_all};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn titles() -> Titles {
    let title = |key: &str, title: &str| (key.to_owned(), title.to_owned());
    BTreeMap::from([title("load", "Loading"), title("digest", "Digests & seeds")])
}

/// The sample twice over: the second run, on a GPU machine, decided two cases otherwise.
fn merged() -> Result<Record, MergeError> {
    let mut second = sample::record();
    second.parts = vec![sample::part("2026-01-02T04:00:00Z")];
    second.parts[0].device = "cuda:0".to_owned();
    second.cases = vec![
        sample::because("LOAD-001::whole_file", Verdict::Timeout, "no answer within 10 s"),
        sample::passed("CHK-003::large_file", 9_000),
    ];
    merge_records(vec![sample::record(), second])
}

/// The sample on a card that fell sick.
fn quarantined() -> Record {
    let reading = |state, found: &str, remedy: Option<&str>| health::Reading {
        what: "uncorrected memory errors".to_owned(),
        found: found.to_owned(),
        limit: "0".to_owned(),
        source: "NVML's counter".to_owned(),
        state,
        remedy: remedy.map(str::to_owned),
    };
    let mut record = sample::record();
    let part = &mut record.parts[0];
    part.device = "cuda:1".to_owned();
    part.machine.gpu_uuid = Some("GPU-00112233-4455-6677-8899-aabbccddeeff".to_owned());
    part.health = Some(Health {
        before: vec![reading(health::State::Healthy, "0", None)],
        after: vec![
            reading(health::State::Sick, "3", Some("reset the card")),
            reading(health::State::NotReadable, "/dev/kmsg: Permission denied", None),
        ],
        anyway: false,
    });
    excuse::excuse(&mut record.cases, &record.parts);
    record
}

#[test]
fn a_quarantined_run_blames_nobody_and_says_what_to_do() -> Outcome {
    let report = Report::of(quarantined());
    assert_eq!(exit::of(report.judgement.certificate), 7);
    let terminal = render(&report, &titles(), Format::Terminal)?;
    let markdown = render(&report, &titles(), Format::Markdown)?;
    for text in [&terminal, &markdown] {
        assert!(text.contains("quarantined") && text.contains("reset the card"), "{text}");
    }
    assert!(terminal.contains("card: QUARANTINED: uncorrected memory errors"), "{terminal}");
    assert!(markdown.starts_with("# Quarantined: the card is sick"), "{markdown}");
    assert!(markdown.contains("GPU-00112233-4455") && markdown.contains("/dev/kmsg"), "{markdown}");
    let junit = render(&report, &titles(), Format::Junit)?;
    assert!(!junit.contains("<failure") && !junit.contains("<error"), "{junit}");
    assert_eq!(report.verify(), []);

    // A failure that is blamed all the same is found by whoever checks the report.
    let mut touched = quarantined();
    let case = touched.cases.iter_mut().find(|case| case.verdict == Verdict::Untested);
    case.ok_or("no case")?.verdict = Verdict::Fail;
    let found: Vec<String> = touched.verify().iter().map(ToString::to_string).collect();
    assert!(found.iter().any(|text| text.contains("is quarantined")), "{found:?}");
    Ok(())
}

/// The clean sample with two failures, wrong values among them, and a list that knows one of them.
fn listed() -> Record {
    let mut record = sample::clean();
    let wrong = Check::broken("3 tensors", "\"w\" widened", "element 3", Basis::Observed);
    let case = record.cases.iter_mut().find(|case| case.id == "LOAD-003::half_floats");
    if let Some(case) = case {
        case.verdict = Verdict::Fail;
        case.reason = Some("3 tensors: element 3".to_owned());
        case.steps[0].checks.push(wrong.with(Some(Values {
            difference: Some("BF16 read as F16".to_owned()),
            or: Vec::new(),
            tensor: "w".to_owned(),
            dtype: "BF16".to_owned(),
            kept: Some("F32".to_owned()),
            element: 3,
            stored: "0xbec6".to_owned(),
            expected: Some("0xbec60000".to_owned()),
            found: "0xbfd8c000".to_owned(),
            wrong: 5,
            of: 64,
        })));
    }
    let late = sample::because("ERR-002::endless_pipe", Verdict::Timeout, "no answer in 10 s");
    let case = record.cases.iter_mut().find(|case| case.id == late.id);
    if let Some(case) = case {
        *case = late;
    }
    let entry = |pattern: &str, check: &str| known::Entry {
        pattern: pattern.to_owned(),
        check: check.to_owned(),
        reason: "the library drops it".to_owned(),
        link: "https://example.org/7".to_owned(),
        owner: "weights team".to_owned(),
        until: "2026-03-01".to_owned(),
    };
    let entries = vec![entry("LOAD-003", "BF16 read as F16"), entry("LOAD-001", "anything")];
    record.parts[0].known = Some(known::List::of(entries));
    record
}

#[test]
fn a_list_of_known_failures_is_told_and_decides_the_exit_code() -> Outcome {
    let mut record = listed();
    let report = Report::of(record.clone());
    let terminal = render(&report, &titles(), Format::Terminal)?;
    assert_redacted!("known_terminal", terminal.clone());
    let values = "1. BF16 read as F16: stored 0xbec6, found 0xbfd8c000 (1 requirement, 1 case)";
    assert!(terminal.contains(values), "{terminal}");
    assert!(terminal.contains("known: the library drops it"), "{terminal}");
    let markdown = render(&report, &titles(), Format::Markdown)?;
    assert!(markdown.contains("## Known failures") && markdown.contains("passes: 2 cases passed"));
    assert!(render(&report, &titles(), Format::Junit)?.contains("\nknown: "));
    // A failure that is not listed comes first, then a list that must be mended, then the rest.
    assert_eq!(exit::of_run(&report.judgement), exit::REFUTED);
    let late = record.cases.iter_mut().find(|case| case.id == "ERR-002::endless_pipe");
    *late.ok_or("no case")? = sample::passed("ERR-002::endless_pipe", 1_000);
    assert_eq!(exit::of_run(&record.judge()), exit::LIST_STALE);
    if let Some(list) = &mut record.parts[0].known {
        *list = known::List::of(list.entries[..1].to_vec());
    }
    assert_eq!(exit::of_run(&record.judge()), exit::CORROBORATED);
    assert_eq!(exit::of(record.judge().certificate), exit::REFUTED);
    record.cases.retain(|case| case.id != "LOAD-001::whole_file");
    assert_eq!(exit::of_run(&record.judge()), exit::INCOMPLETE);
    Ok(())
}

#[test]
fn each_form_reads_as_it_was_reviewed() -> Outcome {
    let report = Report::of(sample::record());
    for (name, format) in [
        ("json", Format::Json),
        ("junit", Format::Junit),
        ("markdown", Format::Markdown),
        ("terminal", Format::Terminal),
    ] {
        assert_redacted!(format!("report_{name}"), render(&report, &titles(), format)?);
    }
    Ok(())
}

#[test]
fn merged_and_clean_reports_read_as_they_were_reviewed() -> Outcome {
    let report = Report::of(merged()?);
    assert_redacted!("merged_terminal", render(&report, &titles(), Format::Terminal)?);
    assert_redacted!("merged_markdown", render(&report, &titles(), Format::Markdown)?);
    let mut clean = sample::clean();
    assert_redacted!(
        "clean_terminal",
        render(&Report::of(clean.clone()), &titles(), Format::Terminal)?
    );
    clean.subject.profile = "full".to_owned();
    clean.requirements.retain(|row| row.in_profile);
    let full = render(&Report::of(clean), &titles(), Format::Markdown)?;
    assert_eq!(full.lines().next(), Some("# Corroborated: full profile"));
    Ok(())
}

#[test]
fn a_failure_is_shown_with_all_that_is_needed_to_repeat_it() {
    let record = sample::record();
    let blocks: Vec<String> = record
        .cases
        .iter()
        .filter(|case| case.verdict != Verdict::Pass)
        .map(first_failure)
        .collect();
    assert_redacted!("failures", blocks.join("\n"));
    assert_eq!(worst(&record).map(|case| case.verdict), Some(Verdict::Fail));
    assert_eq!(worst(&sample::clean()), None);
}

#[test]
fn a_comparison_reads_as_it_was_reviewed() {
    let mut later = sample::clean();
    later.subject.commit = "fedcba9876543210".to_owned();
    later.cases[0].verdict = Verdict::Crash;
    later.cases[0].reason = Some("the process ended: signal 11".to_owned());
    let dropped = later.requirements.iter().position(|row| row.id == "LOAD-003");
    later.requirements[dropped.unwrap_or_default()].in_profile = false;
    later.cases.retain(|case| case.requirement != "LOAD-003");
    later.requirements.push(sample::row("MEM-001", "memory", 2, &[]));
    let sides = [("before".to_owned(), sample::record()), ("after".to_owned(), later)];
    let comparison = Comparison::of(&sides);
    assert_redacted!("compare_text", comparison.text(&titles()));
    assert_redacted!("compare_markdown", comparison.markdown(&titles()));
    assert!(comparison.regresses());
    let changes: Vec<Change> = comparison.transitions(1).iter().map(|one| one.change).collect();
    for change in [Change::Regressed, Change::Vanished, Change::New, Change::Fixed] {
        assert!(changes.contains(&change), "{changes:?}");
    }
    let same = Comparison::of(&[sides[0].clone(), sides[0].clone(), sides[1].clone()]);
    assert!(same.transitions(1).is_empty());
    assert_eq!(same.transitions(2), comparison.transitions(1));
}

#[test]
fn the_schema_takes_real_reports_and_nothing_else() -> Outcome {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/report.schema.json");
    let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let validator = jsonschema::draft202012::new(&schema)?;
    for record in [sample::record(), sample::clean(), merged()?, quarantined(), listed()] {
        let json: serde_json::Value = serde_json::from_str(&Report::of(record).to_json()?)?;
        let errors: Vec<String> =
            validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        for pointer in objects(&json) {
            let mut more = json.clone();
            let target = more.pointer_mut(&pointer).and_then(|value| value.as_object_mut());
            // Maps by free names take strings or numbers only, so `true` is unknown to them too.
            target.ok_or("no object")?.insert("surprise".to_owned(), true.into());
            assert!(!validator.is_valid(&more), "an unknown field was taken at {pointer:?}");
        }
    }
    Ok(())
}

/// Pointers to every object of a report, except claims, which are the loader's own.
fn objects(json: &serde_json::Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), json)];
    while let Some((pointer, value)) = open.pop() {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map.iter().filter(|(key, _)| *key != "claim") {
                    open.push((format!("{pointer}/{key}"), value));
                }
                found.push(pointer);
            }
            serde_json::Value::Array(items) => {
                let items = items.iter().enumerate();
                open.extend(items.map(|(index, value)| (format!("{pointer}/{index}"), value)));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn measurements_that_are_no_numbers_do_not_cost_the_report() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut record = sample::record();
    record.parts[0].measured.insert("broken".to_owned(), f64::NAN);
    record.parts[0].seconds = f64::INFINITY;
    let path = folder.path().join("report.json");
    Report::of(record).write(&path)?;
    let read = Record::read(&path)?;
    assert_eq!(read.parts[0].seconds, 0.0);
    assert_eq!(read.parts[0].measured, sample::record().parts[0].measured);
    Ok(())
}

#[test]
fn a_hostile_report_is_shown_and_listed_and_ends_nobody() -> Outcome {
    let mut record = sample::record();
    for row in &mut record.requirements {
        row.points = u64::MAX;
    }
    for case in &mut record.cases {
        (case.elapsed_us, case.loader_us, case.evidence_us) = (u64::MAX, u64::MAX, u64::MAX);
        case.part = usize::MAX;
        case.reason = Some("\u{1b}[2J\n# Corroborated <b>\u{202e}|`@all".to_owned());
        case.stderr = case.reason.clone();
    }
    record.parts[0].seconds = f64::MAX;
    record.parts.push(record.parts[0].clone());
    let report = Report::of(record.clone());
    assert!(report.verify().len() >= record.cases.len());
    for format in [Format::Json, Format::Junit, Format::Markdown, Format::Html, Format::Terminal] {
        let text = render(&report, &titles(), format)?;
        assert!(!text.contains('\u{1b}'), "{format:?} passes an escape on");
    }
    let page = render(&report, &titles(), Format::Markdown)?;
    assert!(!page.contains("<b>") && !page.contains("@all") && !page.contains("\n# Corrob"));
    let block = worst(&record).map(first_failure).unwrap_or_default();
    assert!(!block.contains('\u{1b}') && !block.contains('\u{202e}'), "{block:?}");
    assert!(matches!(merge_records(vec![record]), Err(MergeError::Part(_))));
    Ok(())
}

#[derive(clap::Parser)]
enum Command {
    Compare(compare::Args),
    Merge(merge::Args),
    Report(report::Args),
    Verify(verify::Args),
}

/// Runs a command line; the exit code and what it printed, or its fault.
fn weighbridge(words: &[&str]) -> Result<(u8, String), Box<dyn std::error::Error>> {
    let mut out = Vec::new();
    let command = Command::try_parse_from(std::iter::once(&"weighbridge").chain(words))?;
    let code = match command {
        Command::Compare(args) => compare::run(&args, &titles(), &mut out),
        Command::Merge(args) => {
            let embedded = Embedded::read().map_err(|stop| stop.message)?;
            merge::run(&args, &embedded, &titles(), &mut out)
        }
        Command::Report(args) => report::run(&args, &titles(), &mut out),
        Command::Verify(args) => {
            let embedded = Embedded::read().map_err(|stop| stop.message)?;
            verify::run(&args, &embedded, &mut out)
        }
    };
    match code {
        Ok(code) => Ok((code, String::from_utf8(out)?)),
        Err(fault) => Ok((fault.exit_code(), fault.to_string())),
    }
}

#[test]
fn verify_takes_what_was_written_and_refuses_what_was_touched() -> Outcome {
    let folder = tempfile::tempdir()?;
    let prefix = folder.path().join("run");
    let written = write_all(&Report::of(sample::record()), &titles(), &prefix)?;
    assert_eq!(written.len(), 3);
    let path = written[0].to_str().ok_or("path")?;
    let (code, text) = weighbridge(&["verify", path])?;
    assert_eq!(code, exit::CORROBORATED, "{text}");

    let json = std::fs::read_to_string(path)?;
    let touched = json.replace("\"certificate\": \"refuted\"", "\"certificate\": \"corroborated\"");
    assert_ne!(json, touched);
    std::fs::write(path, touched)?;
    let (code, text) = weighbridge(&["verify", path])?;
    assert_eq!(code, exit::REFUTED);
    assert!(text.contains("certificate: derived") && text.ends_with("1 mismatch\n"), "{text}");
    let (code, text) = weighbridge(&["merge", path, "-o", path])?;
    assert_eq!(code, exit::USAGE, "{text}");

    std::fs::write(path, &json[..json.len() / 2])?;
    let (code, text) = weighbridge(&["verify", path])?;
    assert_eq!(code, exit::USAGE);
    assert!(text.contains("line") && text.contains("column"), "{text}");
    assert_eq!(weighbridge(&["verify", "no/such/file"])?.0, exit::USAGE);
    Ok(())
}

#[test]
fn shards_interrupted_and_whole_merge_into_one_report() -> Outcome {
    let folder = tempfile::tempdir()?;
    let record = sample::clean();
    let scheduled = |case: &CaseRecord| Scheduled {
        id: case.id.clone(),
        requirement: case.requirement.clone(),
        tries: case.tries.clone(),
        repeat: case.repeat.clone(),
    };
    let header = Header::new(
        record.subject.clone(),
        sample::part("2026-01-02T03:00:00Z"),
        record.requirements.clone(),
        record.cases.iter().map(scheduled).collect(),
    );
    let path = folder.path().join("a.ndjson");
    let mut journal = Journal::begin(&path, &header)?;
    for case in &record.cases[..4] {
        journal.case(case)?;
    }
    drop(journal);
    let mut rest = Record { cases: record.cases[3..].to_vec(), ..record.clone() };
    rest.parts[0].started = "2026-01-02T05:00:00Z".to_owned();
    let other = folder.path().join("b.json");
    rest.write(&other)?;

    let (code, text) = weighbridge(&["verify", path.to_str().ok_or("path")?])?;
    assert_eq!(code, exit::REFUTED);
    assert!(text.contains("the run was interrupted"), "{text}");
    let from = ["report", "--from", path.to_str().ok_or("path")?, "--format", "markdown"];
    let (code, text) = weighbridge(&from)?;
    assert_eq!(code, exit::CORROBORATED);
    assert!(text.starts_with("# Incomplete: host profile") && text.contains("run was interrupted"));

    let out = folder.path().join("deep/whole");
    let words: Vec<&str> =
        [&path, &other, &out].iter().map(|path| path.to_str().unwrap_or_default()).collect();
    let (code, text) = weighbridge(&["merge", words[0], words[1], "--out", words[2]])?;
    assert_eq!(code, exit::CORROBORATED, "{text}");
    let whole = PathBuf::from(format!("{}.json", words[2]));
    assert_eq!(Record::read(&whole)?.judge(), record.judge());
    let (code, text) = weighbridge(&["compare", words[0], words[1], "--gate"])?;
    assert_eq!(code, exit::REFUTED, "what passed in one shard is untested in the other");
    assert!(text.contains("gate closed: ") && text.contains("were not decided now: "), "{text}");
    let whole = whole.to_str().ok_or("path")?;
    assert_eq!(weighbridge(&["compare", words[1], whole, "--gate"])?.0, exit::CORROBORATED);

    rest.subject.spec = "other".to_owned();
    rest.write(&other)?;
    let (code, text) = weighbridge(&["merge", words[0], words[1], "--out", words[2]])?;
    assert_eq!(code, exit::USAGE);
    assert!(text.contains("spec (") && text.contains("/ other)"), "{text}");
    Ok(())
}

proptest! {
    #[test]
    fn merging_gives_the_same_verdicts_in_any_order(
        drawn in prop::collection::vec(shard(), 1..5),
        turn in 0..5_usize,
    ) {
        let shards: Vec<Record> = drawn
            .into_iter()
            .enumerate()
            .map(|(index, cases)| Record {
                parts: vec![sample::part(&format!("T{index}"))],
                cases,
                ..sample::clean()
            })
            .collect();
        let verdicts = |record: &Record| -> BTreeMap<String, Verdict> {
            record.cases.iter().map(|case| (case.id.clone(), case.verdict)).collect()
        };
        let straight = merge_records(shards.clone()).map_err(fail)?;
        prop_assert_eq!(straight.verify(), []);
        let mut turned = shards.clone();
        turned.rotate_left(turn % shards.len());
        turned.reverse();
        let turned = merge_records(turned).map_err(fail)?;
        prop_assert_eq!(verdicts(&straight), verdicts(&turned));
        prop_assert_eq!(straight.judge().denominator, turned.judge().denominator);
        // One after the other, as a pipeline would, is the same as all at once.
        let mut stepwise = shards[0].clone();
        for shard in &shards[1..] {
            stepwise = merge_records(vec![stepwise, shard.clone()]).map_err(fail)?;
        }
        prop_assert_eq!(verdicts(&straight), verdicts(&stepwise));
        for case in &straight.cases {
            let of_part = &shards[case.part].cases;
            prop_assert!(of_part.iter().any(|one| (&one.id, one.verdict) == (&case.id, case.verdict)));
        }
    }
}

fn fail(error: MergeError) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// Some of the sample's cases, each with some verdict.
fn shard() -> impl Strategy<Value = Vec<CaseRecord>> {
    let ids: Vec<String> = sample::clean().cases.iter().map(|case| case.id.clone()).collect();
    // A verdict of warning asks for a rule of warning severity; the judge makes those.
    let verdicts: Vec<Verdict> =
        Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::Warning).collect();
    let verdict = prop::option::of(prop::sample::select(verdicts));
    prop::collection::vec(verdict, ids.len()).prop_map(move |drawn| {
        ids.iter()
            .zip(drawn)
            .filter_map(|(id, verdict)| match verdict? {
                Verdict::Pass => Some(sample::passed(id, 10)),
                other => Some(sample::because(id, other, "drawn so")),
            })
            .collect()
    })
}
