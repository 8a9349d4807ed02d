//! The page of decisions: settled conflicts, what a certificate does not promise, what is no requirement.

use super::form::{Page, item, prose, requirements, sentence};
use crate::harness::spec::{Source, Spec};

pub(super) fn page(spec: &Spec) -> Page {
    let mut text = "# Decisions and limits\n\n\
        Where the source documents contradict each other, or a file format, a *resolution* (R) says what \
        holds here and why. A *limit* (L) says what a certificate does not promise. An *exclusion* (X) is a \
        rule of a source document that is no requirement here.\n"
        .to_owned();
    for one in spec.resolutions() {
        text += &format!("\n## {}\n\n", one.id);
        text += &item("Conflict", &sentence(&one.conflict));
        text += &item("Choice", &sentence(&one.choice));
        text += &item("Reason", &sentence(&one.reason));
        let sources: Vec<String> = one.sources.iter().map(source).collect();
        text += &item("Sources", &sources.join("; "));
        let rows = spec.requirements().iter().filter(|row| row.resolutions.contains(&one.id));
        text += &item("Shapes", &requirements(rows.map(|row| &row.id), spec));
    }
    for one in spec.limits() {
        text += &format!("\n## {}\n\n", one.id);
        text += &item("Not promised", &sentence(&one.statement));
        text += &item("Reason", &sentence(&one.reason));
        text += &item("Weakens", &requirements(&one.requirements, spec));
    }
    for one in spec.excluded() {
        text += &format!("\n## {}\n\n", one.id);
        text += &item("Asked", &sentence(&one.rule));
        text += &item("Source", &source(&one.source));
        text += &item("Reason", &sentence(&one.reason));
    }
    Page { name: "decisions.md".to_owned(), text }
}

fn source(one: &Source) -> String {
    prose(&format!("{}, {}", one.document, one.place))
}
