//! The first page: what there is, and where.

use super::form::{Page, file_of, prose};
use crate::harness::case::Case;
use crate::harness::report::text::count;
use crate::harness::spec::{Family, Section, Spec};
use crate::mutants;

pub(super) fn page(spec: &Spec, cases: &[Case]) -> Page {
    let mut text = format!(
        "# Requirements\n\n\
         What a loader must do, in {} and {}. {} tell one lie each and show that the cases notice.\n\n\
         Each requirement has one of three kinds. *Format*: the file format or the model's definition \
         demands it. *Contract*: the loader claims it with a capability or an answer. *Policy*: the source \
         documents or this project demand it beyond both.\n\n\
         A verdict rests on what the judge *observed* or on what the loader *declared*; every requirement \
         says which.\n\n\
         `weighbridge explain NAME` prints the same for one name. These pages are made by `weighbridge \
         explain --all --out FOLDER` from the files that the program contains (SHA-256 of `spec/`: `{}`).\n",
        count(spec.requirements().len() as u64, "requirement", "requirements"),
        count(cases.len() as u64, "case", "cases"),
        count(mutants::all().count() as u64, "[mutant](mutants.md)", "[mutants](mutants.md)"),
        spec.digest(),
    );
    for (family, title) in [
        (Family::Checklist, "The checklist of a hundred points"),
        (Family::Warm, "Loading a set of models before they are used"),
        (Family::Gates, "Which models a loader may admit"),
        (Family::Inference, "What the loaded model computes"),
    ] {
        text += &format!("\n## {title}\n\n| section | requirements | cases | points |\n");
        text += "|---|--:|--:|--:|\n";
        for section in spec.sections().iter().filter(|one| one.family == family) {
            text += &row(section, spec, cases);
        }
    }
    text += "\n## Around them\n\n\
        - [Classes of loaders and profiles](classes.md): what a loader can earn.\n\
        - [Decisions and limits](decisions.md): how conflicts of the sources were settled, what a \
        certificate does not promise, and what is no requirement.\n\
        - [Error codes](errors.md): each with its causes and remedies.\n\
        - [Words of the protocol](capabilities.md): capabilities, phases and classes of failures.\n\
        - [Mutants](mutants.md): the lies that the cases refute.\n";
    Page { name: "README.md".to_owned(), text }
}

fn row(section: &Section, spec: &Spec, cases: &[Case]) -> String {
    let ids: Vec<&str> = spec.requirements_of(&section.id).map(|row| row.id.as_str()).collect();
    let own = cases.iter().filter(|case| ids.contains(&case.requirement.as_str())).count();
    let (title, file) = (prose(&section.title), file_of(&section.id));
    format!("| [{title}]({file}) | {} | {own} | {} |\n", ids.len(), section.points)
}
