//! The summary that is printed at the end of a run: aligned plain text. What failed stands below the score,
//! and the certificate is the last line, where a reader of a terminal looks first.

use super::text::{count, duration, plain};
use super::times;
use super::titles::Titles;
use super::{causes, classes, outcome, parts};
use crate::harness::record::Report;

/// Score table, points, runs with their measurements, the harness's overhead, what failed and what is open,
/// certificate. In full, every failed case is listed.
pub fn summary(report: &Report, titles: &Titles, in_full: bool) -> String {
    let record = &report.record;
    let mut out = outcome::score_table(report, titles).text();
    out.push('\n');
    let mut line = |name: &str, value: &str| {
        out.push_str(&format!("{name}: {}\n", plain(value)));
    };
    line("points", &outcome::points(report));
    for (index, part) in record.parts.iter().enumerate() {
        let run = if record.parts.len() > 1 {
            format!("run {} of {}", index + 1, record.parts.len())
        } else {
            "run".to_owned()
        };
        let seed = outcome::seed(part);
        let mut text = format!("{:.1} s on {}, seed {seed}", part.seconds, part.device);
        if let Some(selection) = &part.selection {
            text.push_str(&format!(", only {selection}"));
        }
        if let Some(plan) = &part.plan {
            text.push_str(&format!(", {} of plan {}", plan.name(), plan.digest));
        }
        line(&run, &text);
        if let Some(workers) = times::workers(part) {
            line("workers", &workers);
        }
        if let Some(isolation) = outcome::isolation(part) {
            line("isolation", &isolation);
        }
        if let Some(waiting) = outcome::waiting(part) {
            line("waiting for the loader", &waiting);
        }
        if part.unjournalled > 0 {
            let lacking = count(part.unjournalled, "decided case", "decided cases");
            line("the journal lacks", &lacking);
        }
        if let Some(card) = outcome::card(part) {
            line("card", &card);
        }
        if let Some(measured) = outcome::measured(part) {
            line("measured", &measured);
        }
    }
    let times = times::Times::of(&record.cases);
    if times.cases > 0 {
        line("time of the cases", &times.shares());
    }
    if let Some(overhead) = outcome::Overhead::of(record) {
        line(
            "harness overhead per case",
            &format!(
                "mean {}, median {}, over {}",
                duration(overhead.mean_us),
                duration(overhead.median_us),
                count(overhead.cases, "case", "cases")
            ),
        );
    }
    for note in parts::notes(report) {
        line("parts", &note);
    }
    let open = causes::screen::screen(report, in_full);
    if !open.is_empty() {
        out.push_str(&format!("\n{open}"));
    }
    out.push_str(&classes::text(report));
    out.push_str(&format!("\n{}\n", plain(&outcome::certificate(report))));
    out
}
