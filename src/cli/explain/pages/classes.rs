//! The page of what a loader can earn: classes and profiles.

use super::form::{Page, item, names, requirements, sentence};
use crate::cli::list_classes;
use crate::contract::capability;
use crate::harness::report::text::count;
use crate::harness::spec::Spec;

pub(super) fn page(spec: &Spec) -> Page {
    let mut text = "# Classes of loaders and profiles\n\n\
        A *class* asks for what a kind of loader declares. A *profile* asks for everything that a kind of \
        machine can try. A capability that is not declared costs nothing in a class; in a profile it is \
        *unsupported*, and the certificate is incomplete.\n"
        .to_owned();
    for class in spec.classes() {
        text += &format!("\n## {}\n\n{}\n\n", class.name, sentence(&class.summary));
        text += &item("Version", &class.version);
        text += &item("Weighed", list_classes::devices(class));
        text += &item("Needs", &list_classes::needs(class));
        text += &item("Cases", &about(class));
        let features = names(class.features.iter().copied().map(capability::name));
        let whole = "One that is declared must hold whole.";
        if !features.is_empty() {
            text += &item("May have", &format!("{features}. {whole}"));
        }
        let apart = if class.rule.is_whole() { "part of the class" } else { "counted apart" };
        text += &item("Policy", apart);
        text += &item("Run", &format!("`weighbridge certify --class {}`", class.name));
        text += &item("Requires", &requirements(&class.requirements, spec));
    }
    for profile in spec.profiles() {
        text += &format!("\n## {}\n\n{}\n\n", profile.name, sentence(&profile.summary));
        let points = spec.points(profile.requirements.iter().map(String::as_str));
        text += &item("Points", &points.to_string());
        text += &item("Run", &format!("`weighbridge certify --profile {}`", profile.name));
        let rows = count(profile.requirements.len() as u64, "requirement", "requirements");
        let list = format!("`weighbridge list --profile {}` prints them", profile.name);
        text += &item("Requires", &format!("{rows}; {list}"));
    }
    Page { name: "classes.md".to_owned(), text }
}

fn about(class: &crate::harness::spec::Class) -> String {
    match class.about.is_empty() {
        true => String::new(),
        false => format!("those that need {}", list_classes::names(class.about.iter())),
    }
}
