//! Edits of a journal and of the head of its chain that a report names: a chain that was made again fits itself, and
//! not the report.

use sha2::{Digest, Sha256};
use weighbridge::harness::record::journal::Chain;

use super::edit::How::{Both, Headed, Journal, Record as Rec, Recording};
use super::edit::{Edit, noticed, unnoticed};
use super::runs::Base::{Earned, Refuted};

/// Every edit of this kind.
pub fn edits() -> Vec<Edit> {
    [of_journal(), of_head(), of_both()].concat()
}

const OF_JOURNAL: &str =
    "the journal alone does not say which chain the run made; `verify REPORT --journal` does";

fn of_journal() -> Vec<Edit> {
    vec![
        noticed(
            "a digest in the journal's chain edited",
            Refuted,
            Journal(|text| {
                in_line(text, 2, |line| {
                    let end = line.len() - 3;
                    let other = if line.ends_with("0\"}") { "1\"}" } else { "0\"}" };
                    format!("{}{other}", &line[..end])
                })
            }),
        ),
        noticed(
            "a time in the journal edited, and its digest made again",
            Refuted,
            Journal(|text| {
                let mut chain = Chain::default();
                let objects: Vec<String> = text.lines().map(bare).collect();
                for object in &objects[..3] {
                    chain.sha256 = next(&chain, object);
                }
                in_line(text, 3, |line| closed(&chain, &edited(&bare(line))))
            }),
        ),
        noticed(
            "journal's format made the earlier one",
            Earned,
            Journal(|text| text.replacen("weighbridge.journal/2", "weighbridge.journal/1", 1)),
        ),
        noticed(
            "chain removed, and the journal's format made the earlier one",
            Earned,
            Journal(|text| {
                let text: String = text.lines().map(|line| format!("{}\n", bare(line))).collect();
                text.replacen("weighbridge.journal/2", "weighbridge.journal/1", 1)
            }),
        ),
        unnoticed(
            "a time in the journal edited, and the chain made again",
            Refuted,
            Journal(|text| again(text, |lines| lines[3] = edited(&lines[3]))),
            OF_JOURNAL,
        ),
        unnoticed(
            "two cases of the journal exchanged, and the chain made again",
            Refuted,
            Journal(|text| again(text, |lines| lines.swap(2, 3))),
            OF_JOURNAL,
        ),
    ]
}

fn of_head() -> Vec<Edit> {
    vec![
        noticed(
            "journal's head removed from the report",
            Earned,
            Rec(|it| it.parts[0].journal = None),
        ),
        unnoticed(
            "journal's head in the report edited",
            Earned,
            Rec(|it| head(it).sha256 = "0".repeat(64)),
            "the journal is another file; `verify REPORT --journal` shows it",
        ),
        noticed(
            "journal's head in the report edited, beside the journal",
            Earned,
            Headed(|it| head(it).sha256 = "0".repeat(64)),
        ),
        noticed(
            "length of the journal's chain in the report edited, beside the journal",
            Earned,
            Headed(|it| head(it).lines += 1),
        ),
        noticed(
            "time of a case in the report, beside the journal",
            Earned,
            Headed(|it| it.cases[0].elapsed_us += 1),
        ),
        noticed(
            "machine of the run in the report, beside the journal",
            Earned,
            Headed(|it| it.parts[0].machine.cores += 1),
        ),
        noticed(
            "failure rewritten into a pass in the report, beside the journal",
            Refuted,
            Headed(super::checks::rewrite),
        ),
    ]
}

fn of_both() -> Vec<Edit> {
    vec![
        noticed(
            "a time in the journal edited, and the chain made again, beside the report",
            Refuted,
            Recording(|text| again(text, |lines| lines[3] = edited(&lines[3]))),
        ),
        noticed(
            "two cases of the journal exchanged, and the chain made again, beside the report",
            Refuted,
            Recording(|text| again(text, |lines| lines.swap(2, 3))),
        ),
        noticed(
            "journal of another run beside the report",
            Earned,
            Recording(|text| {
                again(text, |lines| {
                    for line in lines {
                        *line = line.replace("\"started\":\"2", "\"started\":\"1");
                    }
                })
            }),
        ),
        unnoticed(
            "time of a case in the journal, the chain made again, and the report made from it",
            Refuted,
            Both(|text| {
                again(text, |lines| {
                    lines[3] = lines[3].replacen("\"at_seconds\":", "\"at_seconds\":1", 1)
                })
            }),
            "both files are the forger's own",
        ),
    ]
}

fn head(record: &mut weighbridge::harness::record::Record) -> &mut Chain {
    record.parts[0].journal.as_mut().expect("a head")
}

/// A line without its digest.
fn bare(line: &str) -> String {
    let at = line.rfind(",\"chain\":\"").expect("a chain");
    format!("{}}}", &line[..at])
}

fn next(chain: &Chain, object: &str) -> String {
    let digest = Sha256::digest(format!("{}{object}", chain.sha256));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line with its digest.
fn closed(chain: &Chain, object: &str) -> String {
    let open = object.strip_suffix('}').expect("an object");
    format!("{open},\"chain\":\"{}\"}}", next(chain, object))
}

/// A line about a case, with a longer time.
fn edited(object: &str) -> String {
    let other = object.replacen("\"elapsed_us\":", "\"elapsed_us\":1", 1);
    assert_ne!(other, object);
    other
}

fn in_line(text: &str, at: usize, change: impl Fn(&str) -> String) -> String {
    let line = |(index, line): (usize, &str)| match index == at {
        true => format!("{}\n", change(line)),
        false => format!("{line}\n"),
    };
    text.lines().enumerate().map(line).collect()
}

/// The journal after a change of its objects, with head, digests and footer made again.
fn again(text: &str, change: impl FnOnce(&mut Vec<String>)) -> String {
    let mut objects: Vec<String> = text.lines().map(bare).collect();
    let was = Chain { sha256: told(text.lines().nth(objects.len() - 3).expect("lines")), lines: 0 };
    change(&mut objects);
    let (mut chain, mut out) = (Chain::default(), String::new());
    for mut object in objects {
        if object.starts_with("{\"part\":") {
            object = object.replace(&was.sha256, &chain.sha256);
        } else if object.starts_with("{\"footer\":") {
            let digest = Sha256::digest(&out);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let at = object.rfind("\"sha256\":\"").expect("a digest") + "\"sha256\":\"".len();
            object.replace_range(at..at + 64, &digest);
        }
        out.push_str(&format!("{}\n", closed(&chain, &object)));
        chain.sha256 = next(&chain, &object);
    }
    out
}

/// The digest at the end of a line.
fn told(line: &str) -> String {
    let line = line.strip_suffix("\"}").expect("a digest");
    line[line.len() - 64..].to_owned()
}
