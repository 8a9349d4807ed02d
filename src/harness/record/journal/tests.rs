//! Tests journals that are complete, cut off at every byte, or modified.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::Path;

use super::recover::is_journal;
use super::write::append;
use crate::harness::record::journal::*;
use crate::harness::record::whole::WriteError;
use crate::harness::record::{Health, Part, Record, Verdict, sample};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn header(record: &Record) -> Header {
    let scheduled = record
        .cases
        .iter()
        .map(|case| Scheduled {
            id: case.id.clone(),
            requirement: case.requirement.clone(),
            tries: case.tries.clone(),
            repeat: case.repeat.clone(),
        })
        .collect();
    let part = Part { seconds: 0.0, ..record.parts[0].clone() };
    Header::new(record.subject.clone(), part, record.requirements.clone(), scheduled)
}

fn written(record: &Record) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.ndjson");
    let mut journal = Journal::begin(&path, &header(record))?;
    for case in &record.cases {
        journal.case(case)?;
    }
    journal.finish(&mut record.parts[0].clone())?;
    Ok(fs::read(&path)?)
}

#[test]
fn a_closed_journal_is_the_record() -> Outcome {
    let mut record = sample::record();
    let bytes = written(&record)?;
    assert!(is_journal(&bytes));
    let recovered = recover(&bytes)?;
    let head = recovered.record.parts[0].journal.clone().ok_or("no head")?;
    assert_eq!(head.lines as usize, 1 + record.cases.len(), "the header and every case");
    record.parts[0].journal = Some(head);
    assert_eq!(recovered, Recovered { record, interrupted: false, unfinished: 0 });
    Ok(())
}

#[test]
fn cases_that_workers_decided_in_another_order_are_in_the_order_of_the_plan() -> Outcome {
    let mut record = sample::record();
    let mut other = record.clone();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.ndjson");
    let mut journal = Journal::begin(&path, &header(&record))?;
    other.cases.reverse();
    assert!(other.cases != record.cases);
    for case in &other.cases {
        journal.case(case)?;
    }
    journal.finish(&mut record.parts[0])?;
    assert_eq!(recover(&fs::read(&path)?)?.record, record);
    Ok(())
}

#[test]
fn a_card_that_fell_sick_later_takes_the_blame_of_earlier_lines() -> Outcome {
    let mut record = sample::record();
    let sick = crate::harness::record::health::tests::sick();
    let health = Health { before: Vec::new(), after: vec![sick], anyway: false };
    record.parts[0].health = Some(health);
    let recovered = recover(&written(&record)?)?;
    let record = recovered.record;
    assert!(!recovered.interrupted && record.cases.len() == sample::record().cases.len());
    assert!(!record.cases.iter().any(|case| case.verdict.refutes()));
    assert_eq!(record.verify(), []);
    Ok(())
}

#[test]
fn a_journal_cut_off_at_any_byte_keeps_the_cases_before_it() -> Outcome {
    let record = sample::record();
    let bytes = written(&record)?;
    let Some(header_end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Err("no header".into());
    };
    for end in header_end + 1..bytes.len() - 1 {
        let lines = bytes[..end].iter().filter(|byte| **byte == b'\n').count();
        let decided = (lines - 1).min(record.cases.len());
        let recovered = match recover(&bytes[..end]) {
            Ok(recovered) => recovered,
            Err(damage) => panic!("cut at {end}: {damage}"),
        };
        assert!(recovered.interrupted);
        assert_eq!(recovered.unfinished as usize, record.cases.len() - decided);
        assert_eq!(recovered.record.cases[..decided], record.cases[..decided]);
        for case in &recovered.record.cases[decided..] {
            assert_eq!(case.verdict, Verdict::Untested);
            assert_eq!(case.reason.as_deref(), Some(INTERRUPTED));
        }
        assert_eq!(recovered.record.verify(), []);
    }
    Ok(())
}

#[test]
fn a_changed_byte_is_noticed() -> Outcome {
    let bytes = written(&sample::record())?;
    let text = String::from_utf8_lossy(&bytes).replacen("\"held\":false", "\"held\":true", 1);
    assert!(matches!(recover(text.as_bytes()), Err(Damage::Line { line: 4, .. })));
    let text = String::from_utf8(bytes)?;
    let lines: Vec<&str> = text.lines().collect();
    let without_a_case = [&lines[..1], &lines[2..]].concat().join("\n") + "\n";
    assert!(matches!(recover(without_a_case.as_bytes()), Err(Damage::Line { line: 2, .. })));
    let exchanged = [&lines[..1], &[lines[2], lines[1]], &lines[3..]].concat().join("\n") + "\n";
    assert!(matches!(recover(exchanged.as_bytes()), Err(Damage::Line { line: 2, .. })));
    let twice = [&lines[..2], &lines[1..]].concat().join("\n") + "\n";
    assert!(matches!(recover(twice.as_bytes()), Err(Damage::Line { line: 3, .. })));
    let torn_inside = [&lines[..1], &["{\"case\":"], &lines[2..]].concat().join("\n") + "\n";
    assert!(matches!(recover(torn_inside.as_bytes()), Err(Damage::Line { line: 2, .. })));
    let more = text.clone() + lines[1] + "\n";
    assert!(recover(more.as_bytes()).is_err());
    Ok(())
}

#[test]
fn an_unfinished_journal_is_set_aside_not_overwritten() -> Outcome {
    let record = sample::record();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.ndjson");
    let mut journal = Journal::begin(&path, &header(&record))?;
    journal.case(&record.cases[0])?;
    drop(journal);
    Journal::begin(&path, &header(&record))?.finish(&mut record.parts[0].clone())?;
    let kept = folder.path().join("run.ndjson.interrupted-1");
    assert_eq!(Record::read(&kept)?.cases[0], record.cases[0]);
    Ok(())
}

#[test]
fn a_resumed_journal_is_the_record_of_both_parts_wherever_it_is_cut() -> Outcome {
    let record = sample::record();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.ndjson");
    let mut journal = Journal::begin(&path, &header(&record))?;
    journal.case(&record.cases[0])?;
    drop(journal);
    // The line that was being written when the run died.
    let mut torn = File::options().append(true).open(&path)?;
    torn.write_all(b"{\"case\":{\"at_sec")?;
    drop(torn);
    let before = fs::read(&path)?;
    let later = sample::part("T2");
    for copy in [path.clone(), folder.path().join("copy.ndjson")] {
        fs::write(&path, &before)?;
        let interrupted = Interrupted::open(&path)?;
        assert_eq!(interrupted.cases, record.cases[..1]);
        let mut journal = interrupted.go_on(&copy, &later)?;
        assert!(matches!(Interrupted::open(&copy), Err(ResumeError::Busy(_))));
        for case in &record.cases[1..] {
            journal.case(case)?;
        }
        let mut later = later.clone();
        journal.finish(&mut later)?;
        drop(journal);
        let bytes = fs::read(&copy)?;
        let whole = recover(&bytes)?;
        assert!(!whole.interrupted && whole.record.verify().is_empty());
        assert_eq!(whole.record.parts.len(), 2);
        assert_eq!(whole.record.parts[1], later);
        for (index, (case, of)) in whole.record.cases.iter().zip(&record.cases).enumerate() {
            assert_eq!((case.part, &case.id), (index.min(1), &of.id));
        }
        assert!(matches!(Interrupted::open(&copy), Err(ResumeError::Complete(_))));
        for end in before.len()..bytes.len() - 1 {
            let cut = recover(&bytes[..end])?;
            assert!(cut.interrupted && cut.record.verify().is_empty(), "cut at {end}");
        }
        let foreign = String::from_utf8_lossy(&bytes).replacen("\"part\":1", "\"part\":0", 1);
        assert!(matches!(recover(foreign.as_bytes()), Err(Damage::Line { .. })));
    }
    Ok(())
}

#[test]
fn a_journal_has_one_writer() -> Outcome {
    let record = sample::record();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.ndjson");
    let first = Journal::begin(&path, &header(&record))?;
    match Journal::begin(&path, &header(&record)) {
        Err(WriteError::File { source, .. }) => {
            assert_eq!(source.kind(), io::ErrorKind::ResourceBusy);
        }
        other => panic!("{other:?}"),
    }
    assert!(recover(&fs::read(&path)?)?.interrupted, "the first one's journal is untouched");
    drop(first);
    assert_eq!(fs::read_dir(folder.path())?.count(), 1);
    Ok(())
}

#[test]
fn a_line_without_room_is_taken_back_and_the_next_one_reads() -> io::Result<()> {
    let mut file = tempfile::tempfile()?;
    append(&mut file, 0, b"one\n", &mut |file, bytes| file.write_all(bytes))?;
    let mut full = |file: &mut File, bytes: &[u8]| {
        file.write_all(&bytes[..2])?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    };
    let error = append(&mut file, 4, b"two\n", &mut full).map_err(|error| error.kind());
    assert_eq!(error, Err(io::ErrorKind::StorageFull));
    append(&mut file, 4, b"three\n", &mut |file, bytes| file.write_all(bytes))?;
    file.rewind()?;
    assert_eq!(io::read_to_string(file)?, "one\nthree\n");
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_called_one() {
    let full = Path::new("/dev/full");
    match Journal::begin(full, &header(&sample::record())) {
        Err(WriteError::File { source, .. }) => {
            assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_chain_that_was_made_again_is_not_the_one_that_the_report_names() -> Outcome {
    let mut record = sample::record();
    let honest = recover(&written(&record)?)?;
    let report = honest.record.clone();
    assert_eq!(recording::differences(&report, &honest), []);
    record.cases[2].verdict = Verdict::Pass;
    let forged = recover(&written(&record)?)?;
    let found = recording::differences(&report, &forged);
    assert!(found[0].what.contains("the report names the chain's head"), "{found:?}");
    assert_eq!(found[1].place, record.cases[2].id);
    let mut other = report.clone();
    other.cases.remove(0);
    assert_eq!(recording::differences(&other, &honest)[0].place, report.cases[0].id);
    let mut headless = report.clone();
    headless.parts[0].journal = None;
    assert!(recording::differences(&headless, &honest)[0].what.contains("names no head"));
    let mut renamed = report;
    renamed.parts[0].started = "another time".to_owned();
    assert!(recording::differences(&renamed, &honest)[0].what.contains("is not in the report"));
    Ok(())
}

/// The lines of a journal as the earlier version wrote them.
fn earlier(bytes: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    for line in std::str::from_utf8(bytes)?.lines().filter(|line| !line.starts_with("{\"footer\""))
    {
        let mut value: serde_json::Value = serde_json::from_str(line)?;
        value.as_object_mut().ok_or("no object")?.remove("chain");
        text.push_str(&format!("{value}\n"));
    }
    Ok(text.replace("weighbridge.journal/2", "weighbridge.journal/1"))
}

#[test]
fn a_journal_of_the_earlier_format_is_read_and_not_gone_on_with() -> Outcome {
    let bytes = written(&sample::record())?;
    let text = earlier(&bytes)?;
    let recovered = recover(text.as_bytes())?;
    assert!(recovered.interrupted && recovered.record.verify().is_empty());
    assert_eq!(recovered.record.format, crate::harness::record::EARLIER_FORMAT);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.ndjson");
    fs::write(&path, &text)?;
    assert!(matches!(Interrupted::open(&path), Err(ResumeError::Earlier { .. })));
    // Nothing becomes the other format by a change of its name.
    let renamed = text.replace("weighbridge.journal/1", "weighbridge.journal/2");
    assert!(matches!(recover(renamed.as_bytes()), Err(Damage::Line { line: 1, .. })));
    let kept = String::from_utf8(bytes)?.replace("weighbridge.journal/2", "weighbridge.journal/1");
    assert!(matches!(recover(kept.as_bytes()), Err(Damage::Line { line: 1, .. })));
    Ok(())
}

/// The earlier format has no chain, so these lines are judged by what they say alone.
#[test]
fn lines_that_may_not_stand_at_their_place_are_named() -> Outcome {
    let bytes = written(&sample::record())?;
    let text = earlier(&bytes)?;
    let lines: Vec<&str> = text.lines().collect();
    let id = &sample::record().cases[0].id;
    let whole = |lines: &[&str]| lines.join("\n") + "\n";
    let renamed = lines[1].replace(id.as_str(), "OTHER-001::x");
    let elsewhere = lines[1].replacen("\"part\":0", "\"part\":5", 1);
    assert!(elsewhere != lines[1], "{}", lines[1]);
    let other_format = text.replace("weighbridge.journal/1", "weighbridge.journal/9");
    for (text, wanted) in [
        (whole(&lines[1..]), "the first line is not a header"),
        (whole(&[lines[0], lines[0]]), "line 2: a second header"),
        (whole(&[lines[0], &renamed]), "line 2: case was not scheduled: OTHER-001::x"),
        (whole(&[lines[0], lines[1], lines[1]]), "line 3: case is recorded twice: "),
        (whole(&[lines[0], &elsewhere]), "line 2: case names another run than its own: "),
        (other_format, "expected format weighbridge.journal/2 or weighbridge.journal/1, found"),
        (String::new(), "line 1: no header"),
    ] {
        let damage = recover(text.as_bytes()).err().ok_or("it is read")?.to_string();
        assert!(damage.contains(wanted), "{damage}: {wanted}");
    }
    Ok(())
}

#[test]
fn a_footer_that_is_not_that_of_the_lines_before_it_is_damage() -> Outcome {
    use sha2::{Digest, Sha256};
    let record = sample::record();
    let text = earlier(&written(&record)?)?;
    let mut by_verdict = std::collections::BTreeMap::<Verdict, u64>::new();
    for case in &record.cases {
        *by_verdict.entry(case.verdict).or_default() += 1;
    }
    let footer = |cases: usize, sha256: &str| {
        let footer =
            serde_json::json!({"cases": cases, "by_verdict": by_verdict, "sha256": sha256});
        format!("{}\n", serde_json::json!({"footer": footer}))
    };
    let (cases, sha256) = (record.cases.len(), crate::harness::hex::hex(&Sha256::digest(&text)));
    let with = |footer: String| recover(format!("{text}{footer}").as_bytes());
    let whole = with(footer(cases, &sha256))?;
    assert!(!whole.interrupted && whole.unfinished == 0);
    let counts = Damage::Counts { counted: cases as u64 + 1, found: cases as u64 };
    assert_eq!(with(footer(cases + 1, &sha256)), Err(counts));
    assert_eq!(with(footer(cases, "00")), Err(Damage::Digest(sha256.clone())));
    let twice = footer(cases, &sha256) + &footer(cases, &sha256);
    assert!(with(twice).is_err_and(|damage| damage.to_string().contains("data after the footer")));
    // A footer may not end a run of which a case is missing.
    let last = format!("\"id\":{:?}", record.cases[cases - 1].id);
    let (header, rest) = text.split_once('\n').ok_or("one line")?;
    let rest: Vec<&str> = rest.lines().filter(|line| !line.contains(&last)).collect();
    let text = format!("{header}\n{}\n", rest.join("\n"));
    *by_verdict.entry(record.cases[cases - 1].verdict).or_default() -= 1;
    by_verdict.retain(|_, count| *count > 0);
    let sha256 = crate::harness::hex::hex(&Sha256::digest(&text));
    let footer =
        serde_json::json!({"cases": cases - 1, "by_verdict": by_verdict, "sha256": sha256});
    let text = format!("{text}{}\n", serde_json::json!({"footer": footer}));
    assert_eq!(recover(text.as_bytes()), Err(Damage::Open(1)));
    Ok(())
}
