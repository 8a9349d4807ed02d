//! What may not stand in a submission: placeholders, and reports that leave something open.

use super::{Product, Refusal};
use crate::harness::record::judge::Certificate;
use crate::harness::record::{Record, Report};

/// Words that stand where somebody meant to write something.
const PLACEHOLDERS: [&str; 14] = [
    "todo",
    "tbd",
    "fixme",
    "xxx",
    "n/a",
    "none",
    "unknown",
    "example",
    "my-loader",
    "loader",
    "name",
    "version",
    "...",
    "-",
];

/// Every open end of a product and its report, in one list.
///
/// # Errors
/// [`Refusal`], which names all of them.
pub fn check(product: &Product, report: &Report) -> Result<(), Refusal> {
    let mut open: Vec<String> = placeholders(product);
    open.extend(unfinished(report));
    open.extend(of_runs(&report.record));
    match open.as_slice() {
        [] => Ok(()),
        some => Err(Refusal(format!("open ends: {}", some.join("; ")))),
    }
}

fn placeholders(product: &Product) -> Vec<String> {
    let Product { loader, version, contact, source, card, file_system, .. } = product;
    let fields = [
        ("loader", loader),
        ("version", version),
        ("contact", contact),
        ("source", source),
        ("card", card),
        ("file system", file_system),
    ];
    fields
        .into_iter()
        .filter(|(_, value)| is_placeholder(value))
        .map(|(name, value)| format!("{name} is {value:?}"))
        .collect()
}

fn is_placeholder(value: &str) -> bool {
    let value = value.trim().to_lowercase();
    value.is_empty() || PLACEHOLDERS.contains(&value.as_str()) || value.starts_with(['<', '[', '{'])
}

fn unfinished(report: &Report) -> Option<String> {
    match report.judgement.certificate {
        Certificate::Corroborated | Certificate::Refuted => None,
        other => Some(format!("the report is {}", other.name())),
    }
}

fn of_runs(record: &Record) -> Vec<String> {
    let commit = &record.subject.commit;
    let mut open = Vec::new();
    if commit == "unknown" || commit.ends_with("-dirty") {
        open.push(format!(
            "the judge was built from commit {commit:?}, which nobody else can build"
        ));
    }
    for (number, part) in (1..).zip(&record.parts) {
        if let Some(selection) = &part.selection {
            open.push(format!("run {number} tried a selection alone: {selection}"));
        }
        if part.unjournalled > 0 {
            open.push(format!(
                "run {number} has {} cases that its journal lacks",
                part.unjournalled
            ));
        }
        if part.program.is_empty() {
            open.push(format!("run {number} has no digest of the loader's program"));
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::{ProgramFile, sample};
    use crate::harness::submission::make;

    fn sound() -> Record {
        let mut record = sample::clean();
        let (name, sha256) = ("a.py".to_owned(), "ab".repeat(32));
        record.parts[0].program = vec![ProgramFile { name, sha256 }];
        record.subject.loader = "swift-loader".to_owned();
        record
    }

    fn refused(record: Record, contact: &str) -> String {
        let report = Report::of(record);
        let facts = make::Facts {
            contact: contact.to_owned(),
            source: "https://swift.test".to_owned(),
            file_system: "ext4".to_owned(),
            parallelism: 1,
        };
        let product = make::product(&report, &facts);
        check(&product, &report).map_or_else(|refusal| refusal.0, |()| String::new())
    }

    #[test]
    fn each_open_end_is_named() {
        assert_eq!(refused(sound(), "anna@swift.test"), "");
        assert!(refused(sound(), "TBD").contains("contact is \"TBD\""));
        assert!(refused(sound(), "<your address>").contains("contact"));
        let mut record = sound();
        record.subject.commit.push_str("-dirty");
        record.parts[0].selection = Some("--section IV".to_owned());
        record.parts[0].unjournalled = 2;
        let all = refused(record, "anna@swift.test");
        for words in ["-dirty", "--section IV", "2 cases"] {
            assert!(all.contains(words), "{all}");
        }
        let mut record = sound();
        record.parts[0].program.clear();
        assert!(refused(record, "anna@swift.test").contains("no digest of the loader's program"));
        let mut record = sound();
        let id = record.cases[0].id.clone();
        record.cases[0] = sample::because(&id, crate::harness::record::Verdict::Untested, "late");
        assert!(refused(record, "anna@swift.test").contains("the report is incomplete"));
    }
}
