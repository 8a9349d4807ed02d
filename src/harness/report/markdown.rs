//! The report as Markdown, for a pull request or a release's sign-off.
//!
//! The heading is the certificate, then come the score, what failed by cause, and what is open by reason.
//! Everything else is below; lists of requirements and cases are folded.

use std::collections::BTreeMap;

use super::text::{Table, code, count, duration, html, markdown as safe};
use super::times;
use super::titles::{Titles, title};
use super::{causes, classes, facts, outcome, parts};
use crate::harness::record::judge::RequirementVerdict;
use crate::harness::record::{CaseRecord, Part, Record, Report, RequirementRow, Verdict};

/// The report as Markdown.
pub fn markdown(report: &Report, titles: &Titles) -> String {
    let record = &report.record;
    let cases: BTreeMap<&str, &CaseRecord> =
        record.cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let mut page = Page::default();
    page.line(&format!("# {}", safe(&outcome::headline(report))));
    page.paragraph(&format!("{}.", safe(&outcome::certificate(report))));
    for note in parts::notes(report) {
        page.paragraph(&format!("**Parts:** {}.", safe(&note)));
    }
    page.paragraph(&format!("{}.", safe(&outcome::points(report))));
    page.heading("Score");
    page.block(&outcome::score_table(report, titles).markdown());
    page.block(&classes::markdown(report));
    page.block(&causes::page::page(report));
    page.not_passed(report, &cases);
    page.subject(record);
    for (index, part) in record.parts.iter().enumerate() {
        page.part(part, index, record.parts.len());
    }
    page.heading("Where the time went");
    for workers in record.parts.iter().filter_map(times::workers) {
        page.line(&format!("- {}", safe(&workers)));
    }
    page.line("");
    page.line("Seconds of all workers together.");
    page.line("");
    page.block(&times::table(record, titles).markdown());
    if let Some(overhead) = outcome::Overhead::of(record) {
        page.paragraph(&format!(
            "Harness overhead per case: mean {}, median {}, over {}.",
            duration(overhead.mean_us),
            duration(overhead.median_us),
            count(overhead.cases, "case", "cases")
        ));
    }
    page.heading("Denominator");
    for sum in outcome::sums(&report.judgement.denominator) {
        page.line(&format!("- {}", safe(&sum)));
    }
    page.outside(record);
    page.heading("Cases");
    for section in &report.judgement.sections {
        page.section(record, &section.section, title(titles, &section.section), &cases);
    }
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn heading(&mut self, heading: &str) {
        self.line(&format!("\n## {heading}\n"));
    }

    fn paragraph(&mut self, text: &str) {
        self.line(&format!("\n{text}"));
    }

    fn block(&mut self, block: &str) {
        self.0.push_str(block);
    }

    fn subject(&mut self, record: &Record) {
        self.heading("Subject");
        self.facts(facts::subject(&record.subject));
    }

    fn part(&mut self, part: &Part, index: usize, all: usize) {
        self.heading(&format!("Run {} of {all}", index + 1));
        self.facts(facts::part(part));
        if let Some(health) = &part.health {
            self.fold("Readings of the GPU");
            self.block(&facts::health(health).markdown());
            self.line("\n</details>");
        }
    }

    fn facts(&mut self, facts: Vec<(&'static str, String)>) {
        let mut table = Table::new(2, ["what", "value"]);
        for (what, value) in facts {
            table.row([what.to_owned(), value]);
        }
        self.block(&table.markdown());
    }

    fn not_passed(&mut self, report: &Report, cases: &BTreeMap<&str, &CaseRecord>) {
        let mut verdicts: Vec<&RequirementVerdict> = report
            .judgement
            .requirements
            .iter()
            .filter(|requirement| causes::cause::failed(requirement.verdict))
            .collect();
        if verdicts.is_empty() {
            return;
        }
        self.fold("Each failed requirement");
        // Worst first. The sort is stable, so the spec's order stays within a verdict.
        verdicts.sort_by_key(|requirement| std::cmp::Reverse(requirement.verdict));
        let rows: BTreeMap<&str, &RequirementRow> =
            report.record.requirements.iter().map(|row| (row.id.as_str(), row)).collect();
        for requirement in verdicts {
            let Some(row) = rows.get(requirement.id.as_str()) else {
                continue;
            };
            self.line(&format!(
                "- **{}** {} ({}): {}",
                requirement.verdict.name(),
                code(&row.id),
                count(row.points, "point", "points"),
                safe(&row.sentence)
            ));
            self.line(&format!("  - {}", safe(&requirement.because)));
            let tried = row.cases.iter().filter_map(|id| cases.get(id.as_str()));
            for case in tried.filter(|case| case.verdict != Verdict::Pass) {
                if let Some(check) = case.first_broken() {
                    self.line(&format!(
                        "  - {}: expected {}, found {}",
                        safe(&check.what),
                        safe(&check.expected),
                        safe(&check.found)
                    ));
                }
                self.line(&format!("  - {}", code(&case.repeat)));
            }
        }
        self.line("\n</details>");
    }

    fn outside(&mut self, record: &Record) {
        let outside: Vec<&RequirementRow> =
            record.requirements.iter().filter(|row| !row.in_profile).collect();
        if outside.is_empty() {
            return;
        }
        self.fold(&format!(
            "{} outside this profile",
            count(outside.len() as u64, "requirement", "requirements")
        ));
        for row in outside {
            self.line(&format!("- {}: {}", code(&row.id), safe(&row.sentence)));
        }
        self.line("\n</details>");
    }

    fn section(
        &mut self,
        record: &Record,
        key: &str,
        title: &str,
        cases: &BTreeMap<&str, &CaseRecord>,
    ) {
        let mut table = Table::new(4, ["case", "verdict", "evidence", "run", "time"]);
        let mut number = 0;
        for row in record.requirements.iter().filter(|row| row.in_profile && row.section == key) {
            if row.cases.is_empty() {
                table.row([row.id.as_str(), "untested", "no case yet"]);
            }
            for id in &row.cases {
                number += 1;
                let Some(case) = cases.get(id.as_str()) else {
                    table.row([id.as_str(), "untested", "not selected"]);
                    continue;
                };
                table.row([
                    id.clone(),
                    outcome::effective(row, case).name().to_owned(),
                    outcome::evidence(case),
                    case.part.saturating_add(1).to_string(),
                    match case.elapsed_us {
                        0 => "-".to_owned(),
                        us => duration(us),
                    },
                ]);
            }
        }
        self.fold(&format!("{}: {}", html(title), count(number, "case", "cases")));
        self.block(&table.markdown());
        self.line("\n</details>");
    }

    fn fold(&mut self, summary: &str) {
        let gap = if self.0.ends_with("\n\n") { "" } else { "\n" };
        self.line(&format!("{gap}<details><summary>{summary}</summary>\n"));
    }
}
