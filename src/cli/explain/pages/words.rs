//! The pages of closed words: error codes; capabilities, phases and classes of failures.

use super::super::find::{self, Found};
use super::super::meaning;
use super::form::{Page, anchor, item, names, prose, sentence};
use crate::contract::Capability;
use crate::contract::capability;
use crate::harness::case::Case;
use crate::harness::report::text::{code, count};
use crate::harness::spec::{ErrorCode, Spec};
use crate::loader::remedies;

pub(super) fn errors(spec: &Spec) -> Page {
    let mut text = "# Error codes\n\n\
        The reference loader names its errors by these codes. A loader under test answers with the words of \
        the protocol, listed here as *failures*. A broader word counts for its special cases.\n"
        .to_owned();
    for row in spec.error_codes() {
        text += &error(row);
    }
    Page { name: "errors.md".to_owned(), text }
}

fn error(row: &ErrorCode) -> String {
    let mut text = format!("\n## {}\n\n`{}`: {}\n\n", row.code, row.name, sentence(&row.meaning));
    text += &item("Also called", &names(&row.aliases));
    text += &item("Remedy", &sentence(&row.remedy));
    let failures = row.failures.iter().map(|failure| match failure.family() {
        Some(broader) => format!("{} (a case of {})", code(&failure.name()), code(&broader.name())),
        None => code(&failure.name()),
    });
    text += &item("Failures", &failures.collect::<Vec<_>>().join(", "));
    text += &item("Note", &row.note.as_deref().map(sentence).unwrap_or_default());
    let mut causes = row.failures.iter().flat_map(|failure| remedies::of(*failure)).peekable();
    if causes.peek().is_some() {
        text += "\n| cause | remedy |\n|---|---|\n";
    }
    for one in causes {
        let remedy = one.text.replace("{}", "...");
        text += &format!("| {} | {} |\n", prose(one.cause), prose(&remedy));
    }
    text
}

pub(super) fn capabilities(cases: &[Case]) -> Page {
    let mut text = "# Words of the protocol\n\n\
        ## Capabilities\n\n\
        What a loader declares in its hello: supported, or the reason why not. What it leaves out is not \
        claimed.\n\n| capability | a loader that declares it | cases that need it |\n|---|---|--:|\n"
        .to_owned();
    for one in Capability::ALL {
        let Found::Capability { name, meaning, cases, .. } = find::asked_by(one, cases) else {
            continue;
        };
        let id = anchor(&capability::name(one));
        text += &format!("| <a id=\"{id}\"></a>{} | {} | {cases} |\n", code(&name), prose(meaning));
    }
    text += "\n## Phases of a failure\n\nWhere in the request it happened.\n\n| phase | means |\n|---|---|\n";
    for (name, meaning) in meaning::phases() {
        text += &format!("| {} | {} |\n", code(&name), prose(meaning));
    }
    text += "\n## Classes of failures\n\nWhose fault it is.\n\n| class | means |\n|---|---|\n";
    let mut classes = 0;
    for (name, meaning) in meaning::classes() {
        classes += 1;
        text += &format!("| {} | {} |\n", code(&name), prose(meaning));
    }
    text += &format!(
        "\n{} and {classes} classes. The codes are on the page of [error codes](errors.md).\n",
        count(Capability::ALL.len() as u64, "capability", "capabilities"),
    );
    Page { name: "capabilities.md".to_owned(), text }
}
