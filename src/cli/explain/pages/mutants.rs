//! The page of mutants: each lie, where it was seen, and the requirements whose cases refute it.

use std::collections::BTreeMap;

use super::form::{Page, requirement, sentence};
use crate::harness::case::Case;
use crate::harness::report::text::count;
use crate::harness::spec::Spec;
use crate::mutants::{self, Mutant};

pub(super) fn page(spec: &Spec, cases: &[Case]) -> Page {
    let mut all: Vec<&Mutant> = mutants::all().collect();
    all.sort_by_key(|one| one.name);
    let mut text = format!(
        "# Mutants\n\n\
         {} test the suite: loaders that tell one lie each, most of them seen in a real program. `weighbridge \
         audit --mutant NAME` runs one against the cases.\n",
        count(all.len() as u64, "mutant", "mutants")
    );
    let mut letter = None;
    for one in all {
        let first = one.name.chars().next().map(|c| c.to_ascii_uppercase());
        if first != letter {
            letter = first;
            text += &format!("\n## {}\n\n", first.unwrap_or_default());
        }
        text += &line(one, spec, cases);
    }
    Page { name: "mutants.md".to_owned(), text }
}

fn line(one: &Mutant, spec: &Spec, cases: &[Case]) -> String {
    let mut killers: BTreeMap<&str, u64> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.kills.contains(one.name)) {
        *killers.entry(&case.requirement).or_default() += 1;
    }
    let killers: Vec<String> = killers
        .into_iter()
        .map(|(id, number)| match number {
            1 => requirement(id, spec),
            number => format!("{} ({number} cases)", requirement(id, spec)),
        })
        .collect();
    let gpu = if one.needs_gpu { " Needs a GPU." } else { "" };
    format!(
        "- <a id=\"{0}\"></a>**{0}** {1} Seen in: {2}{gpu} Refuted by {3}.\n",
        one.name,
        sentence(one.lie),
        sentence(one.seen_in),
        killers.join(", ")
    )
}
