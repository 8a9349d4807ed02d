//! What a report says of the classes: which the loader earns, which it misses and by what, and which it
//! does not claim.

use super::text::{Table, count, plain};
use crate::harness::record::Report;
use crate::harness::record::class::{Asked, ClassOutcome, Standing};
use crate::harness::record::judge::Certificate;

/// How many of the capabilities that a loader lacks for a class are named.
const SHOWN: usize = 4;

/// The section of the terminal's summary; empty where the report has no classes.
pub fn text(report: &Report) -> String {
    let all = &report.judgement.classes;
    if all.is_empty() {
        return String::new();
    }
    let mut table = Table::new(2, ["", ""]);
    for class in all {
        table.sentence([format!("  {}", title(class)), plain(&standing(class))]);
        if let Some(features) = features(class) {
            table.sentence([String::new(), features]);
        }
    }
    format!("\nclasses, the nearest first:\n{}", table.text())
}

/// The section of the Markdown report; empty where the report has no classes.
pub fn markdown(report: &Report) -> String {
    table(report).map_or_else(String::new, |table| format!("\n## Classes\n\n{}", table.markdown()))
}

/// A row for each class; `None` where the report has no classes.
pub fn table(report: &Report) -> Option<Table> {
    let mut table = Table::new(4, ["class", "outcome", "features", "policy"]);
    for class in &report.judgement.classes {
        let policy = policy(class).unwrap_or_default();
        table.row([title(class), verdict(class), features(class).unwrap_or_default(), policy]);
    }
    (!table.is_empty()).then_some(table)
}

/// The certificate's sentence of a run that was asked for a class, or for what the loader declares; `None`
/// for a profile.
pub fn certificate(report: &Report) -> Option<String> {
    let name = report.judgement.certificate.name();
    Some(match asked(report) {
        Asked::Profile => return None,
        Asked::Class(class) => {
            let class = named(report, class)?;
            let mut line = format!("{}, {name}: {}", title(class), detail(class));
            if let Some(policy) = policy(class) {
                line.push_str(&format!("; policy: {policy}"));
            }
            line
        }
        Asked::Declared => {
            format!("what the loader declares, {name}: {}", earned_and_missed(report))
        }
    })
}

/// How a certificate begins a report's heading.
pub const fn heading(certificate: Certificate) -> &'static str {
    match certificate {
        Certificate::Corroborated => "Corroborated",
        Certificate::PartHolds => "Part holds, nothing certified",
        Certificate::Incomplete => "Incomplete",
        Certificate::Quarantined => "Quarantined: the card is sick, nothing certified",
        Certificate::Refuted => "Refuted",
        Certificate::HarnessError => "Harness error, nothing certified",
    }
}

/// The heading of such a report; `None` for a profile.
pub fn headline(report: &Report) -> Option<String> {
    let name = heading(report.judgement.certificate);
    Some(match asked(report) {
        Asked::Profile => return None,
        Asked::Class(class) => format!("{name}: class {}", title(named(report, class)?)),
        // What is missed stands in the sentence below the heading.
        Asked::Declared => format!("{name}: {}", earned(report)),
    })
}

fn asked(report: &Report) -> Asked<'_> {
    Asked::of(&report.record.subject.profile, report.record.classes.as_ref())
}

fn named<'a>(report: &'a Report, name: &str) -> Option<&'a ClassOutcome> {
    report.judgement.classes.iter().find(|class| class.name == name)
}

fn title(class: &ClassOutcome) -> String {
    format!("{} {}", class.name, class.version)
}

/// Which classes are earned.
fn earned(report: &Report) -> String {
    let all = report.judgement.classes.iter();
    let earned: Vec<String> =
        all.filter(|class| class.outcome == Standing::Earned).map(title).collect();
    match earned.is_empty() {
        true => "no class is earned".to_owned(),
        false => format!("earns {}", earned.join(", ")),
    }
}

/// Which classes are earned, and the nearest one that is not.
fn earned_and_missed(report: &Report) -> String {
    let mut line = earned(report);
    let missed = report.judgement.classes.iter().find(|class| class.outcome == Standing::Missed);
    if let Some(class) = missed {
        line.push_str(&format!("; {}: {}", title(class), verdict(class)));
    }
    line
}

/// The outcome with the policy beside it.
fn standing(class: &ClassOutcome) -> String {
    let tried = matches!(class.outcome, Standing::Earned | Standing::Missed);
    match policy(class).filter(|_| tried) {
        Some(policy) => format!("{}; policy: {policy}", verdict(class)),
        None => verdict(class),
    }
}

/// What a report of a part is about, in words.
pub fn subject(report: &Report) -> String {
    match asked(report) {
        Asked::Profile => format!("the {} profile", report.record.subject.profile),
        Asked::Class(class) => format!("class {class}"),
        Asked::Declared => "what the loader declares".to_owned(),
    }
}

fn verdict(class: &ClassOutcome) -> String {
    match class.outcome {
        Standing::Earned => format!("earned, {}", detail(class)),
        _ => detail(class),
    }
}

fn detail(class: &ClassOutcome) -> String {
    let requirements = |number: u64| count(number, "requirement", "requirements");
    match class.outcome {
        Standing::Earned => {
            let hold = if class.requirements == 1 { "holds" } else { "hold" };
            format!("{} of {} {hold}", class.held, requirements(class.requirements))
        }
        Standing::Missed => {
            format!("{} short: {}", requirements(class.short.len() as u64), class.short.join(", "))
        }
        Standing::Untested => {
            let remedy = class.remedy.as_deref().unwrap_or("nothing was tried");
            match class.open.len() as u64 {
                open if open == 0 || open == class.requirements => format!("untested: {remedy}"),
                open => format!("untested, {} undecided: {remedy}", requirements(open)),
            }
        }
        Standing::NotClaimed => {
            let shown: Vec<&str> = class.lacks.iter().take(SHOWN).map(String::as_str).collect();
            let mut line = format!("not claimed: the loader does not declare {}", shown.join(", "));
            let more = class.lacks.len().saturating_sub(SHOWN) as u64;
            if more > 0 {
                line.push_str(&format!(" and {}", count(more, "other", "others")));
            }
            line
        }
    }
}

fn policy(class: &ClassOutcome) -> Option<String> {
    let policy = class.policy.as_ref().filter(|policy| policy.requirements > 0)?;
    let mut line = format!("{} of {} held", policy.held, policy.requirements);
    let worded = policy.in_other_words.len() as u64;
    if worded > 0 {
        let of = count(worded, "requirement", "requirements");
        line.push_str(&format!(", refusals of {of} in other words"));
    }
    Some(line)
}

/// The features that are declared and those that are not, where the class was tried.
fn features(class: &ClassOutcome) -> Option<String> {
    if !matches!(class.outcome, Standing::Earned | Standing::Missed) {
        return None;
    }
    let names: Vec<&str> = class.features.iter().map(|one| one.name.as_str()).collect();
    let mut parts = Vec::new();
    if !names.is_empty() {
        parts.push(format!("with {}", names.join(", ")));
    }
    if !class.not_claimed.is_empty() {
        parts.push(format!("not claimed: {}", class.not_claimed.join(", ")));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::{Table as Classes, Verdict, class::ClassRow, sample};

    fn report(verdict: Verdict) -> Report {
        let mut record = sample::clean();
        let id = record.cases[0].id.clone();
        if verdict != Verdict::Pass {
            record.cases[0] = sample::because(&id, verdict, "because");
        }
        let requirement = record.cases[0].requirement.clone();
        record.subject.profile = "small".to_owned();
        record.classes = Some(Classes {
            classes: vec![ClassRow {
                name: "small".to_owned(),
                version: "1.0".to_owned(),
                host: Some(vec!["digest".to_owned()]),
                features: vec!["digest.seeded".to_owned()],
                requirements: vec![requirement],
                ..ClassRow::default()
            }],
            relies: [("digest".to_owned(), vec![id])].into(),
            policy: Vec::new(),
        });
        Report::of(record)
    }

    #[test]
    fn the_words_say_what_is_earned_and_what_is_short() {
        let earned = report(Verdict::Pass);
        assert_eq!(
            certificate(&earned).as_deref(),
            Some("small 1.0, corroborated: 1 of 1 requirement holds")
        );
        assert!(text(&earned).contains("not claimed: digest.seeded"), "{}", text(&earned));
        let missed = report(Verdict::Fail);
        assert_eq!(headline(&missed).as_deref(), Some("Refuted: class small 1.0"));
        assert!(text(&missed).contains("1 requirement short: LOAD-001"), "{}", text(&missed));
        assert!(markdown(&missed).contains("| small 1.0 | 1 requirement short: LOAD-001 |"));
        let open = report(Verdict::Untested);
        assert!(text(&open).contains("untested: LOAD-001::whole_file: because"), "{}", text(&open));
    }

    #[test]
    fn a_report_without_classes_says_nothing_of_them() {
        let report = Report::of(sample::record());
        assert_eq!((text(&report), markdown(&report)), (String::new(), String::new()));
        assert_eq!((certificate(&report), headline(&report)), (None, None));
    }
}
