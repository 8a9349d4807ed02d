//! `weighbridge compare`: compares reports, and lists what changed.

use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::exit;
use super::fault::{Fault, print};
use crate::harness::record::Record;
use crate::harness::record::merge::differences;
use crate::harness::report::compare::Comparison;
use crate::harness::report::gate::{self, Closed};
use crate::harness::report::text::plain;
use crate::harness::report::{ReportError, Titles, html};

/// Compare reports by section, and list what changed from the first to each of the others.
///
/// Exit codes: 0 compared, 1 with --gate, where the gate is closed, 2 usage.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The report that the others are compared with.
    first: PathBuf,
    /// The others.
    #[arg(required = true)]
    others: Vec<PathBuf>,
    /// Exit with 1 if something that held is lost, or if it is another loader, profile, class or GPU, and
    /// say which of these.
    #[arg(long)]
    gate: bool,
    /// Print only the table, without the changes. Meant for reports of different loaders.
    #[arg(long)]
    table: bool,
    /// The form.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
    /// Print Markdown: the same as `--format markdown`.
    #[arg(long, conflicts_with = "format")]
    markdown: bool,
    /// Print one JSON object: the same as `--format json`.
    #[arg(long, conflicts_with_all = ["format", "markdown", "table"])]
    json: bool,
}

/// The forms of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Aligned text, for a terminal.
    Text,
    /// Markdown, for pull requests and sign-off.
    Markdown,
    /// One JSON object.
    Json,
    /// One HTML page that loads nothing from elsewhere.
    Html,
}

impl Args {
    fn form(&self) -> Form {
        match (self.json, self.markdown) {
            (true, _) => Form::Json,
            (false, true) => Form::Markdown,
            (false, false) => self.format,
        }
    }
}

/// Compares and prints.
///
/// # Errors
///
/// [`Fault`] where a file cannot be read.
pub fn run(args: &Args, titles: &Titles, out: &mut dyn Write) -> Result<u8, Fault> {
    let mut records = Vec::with_capacity(1 + args.others.len());
    for path in std::iter::once(&args.first).chain(&args.others) {
        // A table has room for names alone.
        let name = match path.file_stem().filter(|_| args.table) {
            Some(stem) => stem.to_string_lossy().into_owned(),
            None => path.display().to_string(),
        };
        records.push((name, Record::read(path)?));
    }
    let comparison = Comparison::of(&records);
    let closed: Vec<(&str, Vec<Closed>)> = records[1..]
        .iter()
        .map(|(name, later)| (name.as_str(), gate::closed(&records[0].1, later)))
        .collect();
    let is_open = closed.iter().all(|(_, reasons)| reasons.is_empty());
    let code = if args.gate && !is_open { exit::REFUTED } else { exit::CORROBORATED };
    let text = match (args.form(), args.table) {
        (Form::Json, _) => format!("{}\n", json(&records, &comparison, &closed)),
        (Form::Html, _) => {
            html::comparison(&comparison, titles, &closed).map_err(ReportError::from)?
        }
        (form, true) => comparison.summary(titles, form == Form::Markdown),
        (Form::Markdown, false) => comparison.markdown(titles),
        (Form::Text, false) => comparison.text(titles),
    };
    let words = match args.gate && matches!(args.form(), Form::Text | Form::Markdown) {
        true => in_words(&closed),
        false => String::new(),
    };
    let text = text + &words;
    print(out, &text)?;
    Ok(code)
}

/// What the gate says, a line for each reason.
fn in_words(closed: &[(&str, Vec<Closed>)]) -> String {
    let mut text = String::new();
    for (name, reasons) in closed {
        if reasons.is_empty() {
            text.push_str(&format!("\ngate open: {}: nothing that held is lost\n", plain(name)));
            continue;
        }
        text.push_str(&format!("\ngate closed: {}\n", plain(name)));
        for reason in reasons {
            let ids = reason.requirements.join(", ");
            let gap = if ids.is_empty() { "" } else { ": " };
            text.push_str(&format!("- {}{gap}{}\n", plain(&reason.what), plain(&ids)));
        }
    }
    text
}

fn json(
    records: &[(String, Record)],
    comparison: &Comparison,
    closed: &[(&str, Vec<Closed>)],
) -> Value {
    let reports: Vec<Value> = records
        .iter()
        .map(|(name, record)| {
            json!({
                "name": name,
                "loader": record.subject.loader,
                "loader_version": record.subject.loader_version,
                "profile": record.subject.profile,
                "started": record.parts.first().map(|part| &part.started),
                "judgement": record.judge(),
            })
        })
        .collect();
    let changes: Vec<Value> = (1..records.len())
        .map(|later| {
            let (name, record) = &records[later];
            let subject: Vec<Value> = differences(&records[0].1.subject, &record.subject)
                .iter()
                .map(|one| json!({"field": one.field, "from": one.left, "to": one.right}))
                .collect();
            let requirements: Vec<Value> = comparison
                .transitions(later)
                .iter()
                .map(|one| {
                    json!({
                        "requirement": one.requirement,
                        "change": one.change.name(),
                        "from": one.from,
                        "to": one.to,
                        "because": one.because,
                    })
                })
                .collect();
            json!({"report": name, "subject": subject, "requirements": requirements})
        })
        .collect();
    let gates: Vec<Value> = closed
        .iter()
        .map(|(name, reasons)| json!({"report": name, "open": reasons.is_empty(), "closed": reasons}))
        .collect();
    json!({
        "reports": reports,
        "changes": changes,
        "regresses": comparison.regresses(),
        "gate": gates,
    })
}
