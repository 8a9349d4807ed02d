//! Numbers in running text that the program knows better.

use std::fs;

use weighbridge::cli::weighing::Embedded;
use weighbridge::harness::run::{Plan, Selection};
use weighbridge::mutants;

#[test]
fn pages_count_mutants_cases_and_requirements_right() {
    let embedded = Embedded::read().map_err(|stop| stop.message).expect("the suite is sound");
    let mutants = mutants::all().count();
    let profile = embedded.spec.profile("host").expect("a profile");
    let everything = Selection::default();
    let plan = Plan::new(&embedded.spec, profile, embedded.cases.cases(), &everything);
    let (host, tried) = (profile.requirements.len(), plan.scheduled.len());
    let cases = embedded.cases.cases().len();
    let cases = format!("{},{:03}", cases / 1000, cases % 1000);
    for (page, words) in [
        ("CHANGELOG.md", format!(" {cases} with every row of their tables.")),
        ("CHANGELOG.md", format!("`host` ({host})")),
        ("README.md", format!("loaders that tell one lie each. There are {mutants},")),
        ("README.md", format!(" s of {tried} cases: loader ")),
        ("README.md", format!("host profile corroborated: {host} of {host} requirements hold;")),
        ("CHANGELOG.md", format!("- {mutants} mutants, loaders that tell one lie each.")),
    ] {
        let text = fs::read_to_string(page).expect("a page");
        assert!(text.contains(&words), "{page} does not say: {words}");
    }
}
