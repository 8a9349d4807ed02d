//! What `verify` notices of an edited report, and what only a signature could show. Real reports are edited in
//! one way at a time, and their judgement is derived again after each edit of the record, as a forger would.

#[path = "verify_edits/cases.rs"]
mod cases;
#[path = "verify_edits/checks.rs"]
mod checks;
#[path = "verify_edits/edit.rs"]
mod edit;
#[path = "verify_edits/judgement.rs"]
mod judgement;
mod program;
#[path = "verify_edits/recordings.rs"]
mod recordings;
#[path = "verify_edits/relations.rs"]
mod relations;
#[path = "verify_edits/requirements.rs"]
mod requirements;
#[path = "verify_edits/runs.rs"]
mod runs;
#[path = "verify_edits/subject.rs"]
mod subject;

use std::collections::BTreeMap;
use std::fs;

use edit::{Edit, How, Mark};
use program::weighbridge;
use rayon::prelude::*;
use runs::{Base, Runs};
use weighbridge::cli::weighing::Embedded;
use weighbridge::harness::against;
use weighbridge::harness::evidence::build::binary_digest;
use weighbridge::harness::record::journal::{Recovered, recording};
use weighbridge::harness::record::{Report, Stored};

/// Every edit, in the order of the table.
fn all() -> Vec<Edit> {
    [
        subject::edits(),
        requirements::edits(),
        cases::edits(),
        checks::edits(),
        relations::edits(),
        judgement::edits(),
        runs::files::edits(),
        recordings::edits(),
    ]
    .concat()
}

fn json(report: &Report) -> String {
    report.to_json().expect("JSON")
}

fn journal(folder: &tempfile::TempDir, text: &str) -> Recovered {
    let path = folder.path().join("journal");
    fs::write(&path, text).expect("writable");
    match Stored::read(&path).expect("a journal") {
        Stored::Journal(journal) => *journal,
        other => panic!("{other:?}"),
    }
}

/// What is found between a report and a journal, and whether the report is held against the suite.
fn found_beside(
    folder: &tempfile::TempDir,
    (report, journal): (&str, &str),
    embedded: &Embedded,
) -> (Vec<String>, bool) {
    let (mut all, own_suite) = found(folder, report, embedded);
    let read = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("writable");
        Stored::read(&path)
    };
    match (read("report", report), read("journal", journal)) {
        (Ok(report), Ok(Stored::Journal(journal))) => {
            let differences = recording::differences(report.record(), &journal);
            all.extend(differences.iter().map(ToString::to_string));
        }
        (_, journal) => all.push(format!("{journal:?}")),
    }
    (all, own_suite)
}

/// What is found in a report, written and read as a file is, and whether it is held against the suite.
fn found(folder: &tempfile::TempDir, text: &str, embedded: &Embedded) -> (Vec<String>, bool) {
    let path = folder.path().join("edited");
    fs::write(&path, text).expect("writable");
    match Stored::read(&path) {
        Err(error) => (vec![error.to_string()], true),
        Ok(stored) => {
            let verified = against::verify(&stored, embedded.own());
            let all = verified.mismatches.iter().map(ToString::to_string).collect();
            (all, verified.own_suite)
        }
    }
}

#[test]
fn every_edit_is_noticed_or_needs_a_signature() {
    let runs = Runs::new(&Base::ALL);
    let folder = tempfile::tempdir().expect("a folder");
    let embedded = Embedded::read().map_err(|stop| stop.message).expect("the suite");
    // The reports say that the program made them; here this test takes its place.
    let own = binary_digest();
    let mut reports: BTreeMap<Base, Report> = BTreeMap::new();
    for base in Base::ALL {
        let mut report = runs.report(base);
        report.record.subject.binary.clone_from(&own);
        let text = json(&report);
        assert_eq!(found(&folder, &text, &embedded), (vec![], true), "{base:?} as it was written");
        reports.insert(base, report);
    }
    for base in [Base::Earned, Base::Refuted, Base::Stopped] {
        let (report, journal) = (json(&runs.report(base)), runs.journal(base));
        let found = found_beside(&folder, (&report, &journal), &embedded);
        assert_eq!(found, (vec![], true), "{base:?} beside its journal");
    }
    let edits = all();
    assert!(edits.len() >= 225, "{} edits", edits.len());
    // Each is held against the whole suite, which takes a while.
    let wrong = |edit: &Edit| wrong_of(edit, (&runs, &reports), &embedded);
    let wrong: Vec<String> = edits.par_iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), edits.len(), wrong.join("\n"));
}

/// What is wrong with how an edit is noticed. `reports` have this test for their program.
fn wrong_of(
    edit: &Edit,
    (runs, reports): (&Runs, &BTreeMap<Base, Report>),
    embedded: &Embedded,
) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    // Beside its journal a report stays as the program made it.
    let sound = match edit.how {
        How::Headed(_) | How::Recording(_) | How::Both(_) => runs.report(edit.of),
        _ => reports[&edit.of].clone(),
    };
    let before = match edit.how {
        How::Journal(_) | How::Recording(_) | How::Both(_) => runs.journal(edit.of),
        _ => json(&sound),
    };
    let after = match edit.how {
        How::Record(change) | How::Headed(change) => {
            let mut record = sound.record.clone();
            change(&mut record);
            json(&Report::of(record))
        }
        How::Report(change) => {
            let mut report = sound.clone();
            change(&mut report);
            json(&report)
        }
        How::Text(change) | How::Journal(change) | How::Recording(change) | How::Both(change) => {
            change(&before)
        }
        How::Beside => before.clone(),
    };
    let (found, own_suite) = match edit.how {
        How::Recording(_) => found_beside(&folder, (&json(&sound), &after), embedded),
        How::Headed(_) => found_beside(&folder, (&after, &runs.journal(edit.of)), embedded),
        How::Both(_) => {
            let made = json(&Report::of(journal(&folder, &after).record));
            found_beside(&folder, (&made, &after), embedded)
        }
        _ => found(&folder, &after, embedded),
    };
    let edited = after != before || matches!(edit.how, How::Beside);
    assert!(edited, "{}: nothing was edited", edit.kind);
    match (&edit.mark, found.first()) {
        (Mark::Noticed, None) => Some(format!("unnoticed: {}", edit.kind)),
        (Mark::OnlyASignature(_) | Mark::OtherSuite, Some(first)) => {
            Some(format!("noticed after all: {}: {first}", edit.kind))
        }
        (mark, _) if own_suite == matches!(mark, Mark::OtherSuite) => {
            Some(format!("about this suite: {own_suite}: {}", edit.kind))
        }
        _ => None,
    }
}

#[test]
fn the_table_is_written_down_for_readers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/reports/audit/verify-edits.md");
    let table = edit::table(&all());
    if std::env::var_os("WEIGHBRIDGE_WRITE_TABLES").is_some() {
        fs::write(path, &table).expect("writable");
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(written == table, "write {path} again: set WEIGHBRIDGE_WRITE_TABLES=1 for this test");
}

#[test]
fn the_program_names_field_and_values_and_merge_refuses_the_part() {
    let runs = Runs::new(&[Base::Refuted]);
    let sound = runs.path(Base::Refuted);
    assert_eq!(weighbridge(&["verify", &sound]).code, Some(0));
    let mut report = runs.report(Base::Refuted);
    let row = report.record.requirements.iter_mut().find(|row| !row.warning).expect("a row");
    row.warning = true;
    let id = row.id.clone();
    let edited = runs.beside("edited.json");
    Report::of(report.record).write(edited.as_ref()).expect("written");
    let wanted = format!("{id}, severity: expected fail, found warning");
    let verified = weighbridge(&["verify", &edited]);
    assert_eq!(verified.code, Some(1), "{}", verified.out);
    assert!(verified.out.contains(&wanted), "{}", verified.out);
    let out = runs.beside("merged");
    let merged = weighbridge(&["merge", &sound, &edited, "--out", &out]);
    assert_eq!(merged.code, Some(2), "{}", merged.out);
    assert!(merged.err.contains(&edited) && merged.err.contains(&wanted), "{}", merged.err);
}

#[test]
fn reports_of_earlier_suites_agree_with_themselves() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/reports");
    let embedded = Embedded::read().map_err(|stop| stop.message).expect("the suite");
    let mut read = 0;
    for folder in [root.to_owned(), format!("{root}/loaders"), format!("{root}/published")] {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let is_json = path.extension().is_some_and(|ending| ending == "json");
            let text = if is_json { fs::read_to_string(&path).expect("a file") } else { continue };
            if !text.contains("weighbridge.report/1") || path.ends_with("report.schema.json") {
                continue;
            }
            let stored = Stored::read(&path).unwrap_or_else(|error| panic!("{error}"));
            let verified = against::verify(&stored, embedded.own());
            assert_eq!(verified.mismatches, [], "{}", path.display());
            read += 1;
        }
    }
    // Most reports of loaders are packed; the table of classes verifies those.
    assert!(read > 2, "{read} reports");
    let path = format!("{root}/minilm-h200.json");
    let verified = weighbridge(&["verify", &path]);
    assert_eq!(verified.code, Some(0), "{}", verified.out);
    assert!(verified.out.contains("not this binary's suite"), "{}", verified.out);
    assert_eq!(weighbridge(&["verify", "--own-suite", &path]).code, Some(3));
}
