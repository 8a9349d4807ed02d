//! Makes the folder of a submission.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{
    ATTESTATIONS, FORMAT, JOURNAL, KEY, MANIFEST, Product, REPORT, Refusal, Submission, open_ends,
};
use crate::harness::attest::check;
use crate::harness::attest::key::PublicKey;
use crate::harness::attest::statement::ReportFile;
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::record::Report;
use crate::harness::record::whole::{json, write_whole};
use crate::harness::report::{Titles, html, markdown};

/// What a report does not know of its product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whom to ask.
    pub contact: String,
    /// Where the loader can be had.
    pub source: String,
    /// The file system that the models were read from.
    pub file_system: String,
    /// How many cards one model is divided over.
    pub parallelism: u64,
}

/// The files that a submission is made of.
#[derive(Clone, Debug)]
pub struct Parts<'p> {
    /// The report's text, and what it says.
    pub report: (&'p [u8], &'p Report),
    /// The attestations' text.
    pub attestations: &'p str,
    /// The public key's text, and the key.
    pub key: (&'p str, &'p PublicKey),
    /// The recording of the run.
    pub journal: Option<PathBuf>,
}

/// What was certified, from the report and what was told.
pub fn product(report: &Report, facts: &Facts) -> Product {
    let subject = &report.record.subject;
    let part = report.record.parts.first();
    let on_gpu = part.is_some_and(|part| part.device != "cpu");
    let machine = part.map(|part| &part.machine);
    let card = machine.and_then(|machine| match on_gpu {
        true => machine.gpu.clone(),
        false => Some(machine.processor.clone()),
    });
    let driver = machine.and_then(|machine| machine.driver.clone()).filter(|_| on_gpu);
    Product {
        loader: subject.loader.clone(),
        version: subject.loader_version.clone(),
        contact: facts.contact.clone(),
        source: facts.source.clone(),
        card: card.unwrap_or_default(),
        driver: driver.unwrap_or_default(),
        file_system: facts.file_system.clone(),
        parallelism: facts.parallelism,
    }
}

/// Writes a submission to a folder that is not there yet, or empty.
///
/// # Errors
/// [`Refusal`]: open ends, attestations that are not about this report, a folder that cannot be written.
pub fn make(
    parts: &Parts<'_>,
    facts: &Facts,
    titles: &Titles,
    folder: &Path,
) -> Result<Submission, Refusal> {
    let (bytes, report) = parts.report;
    let product = product(report, facts);
    open_ends::check(&product, report)?;
    let file = ReportFile { report, sha256: &sha256_hex(bytes) };
    let attested = check::check(parts.attestations, &file, parts.key.1)
        .map_err(|fault| Refusal(format!("the attestations: {fault}")))?;
    let page = html::page(report, titles, Some(&attested.words()))
        .map_err(|error| Refusal(format!("cannot lay out the page: {error}")))?;
    let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::from([
        (REPORT, bytes.to_vec()),
        (ATTESTATIONS, parts.attestations.as_bytes().to_vec()),
        (KEY, parts.key.0.as_bytes().to_vec()),
        ("report.md", markdown::markdown(report, titles).into_bytes()),
        ("report.html", page.into_bytes()),
        ("README.md", readme(&product, report).into_bytes()),
    ]);
    if let Some(journal) = &parts.journal {
        let read = fs::read(journal);
        let unreadable = |error| Refusal(format!("cannot read {}: {error}", journal.display()));
        files.insert(JOURNAL, read.map_err(unreadable)?);
    }
    let digests = files.iter().map(|(name, bytes)| ((*name).to_owned(), sha256_hex(bytes)));
    let submission = Submission { format: FORMAT.to_owned(), product, files: digests.collect() };
    empty(folder)?;
    let text = json(&submission).map_err(|error| Refusal(error.to_string()))?;
    files.insert(MANIFEST, text.into_bytes());
    for (name, bytes) in &files {
        write_whole(&folder.join(name), bytes).map_err(|error| Refusal(error.to_string()))?;
    }
    Ok(submission)
}

/// Nothing of another submission may stay in the folder.
fn empty(folder: &Path) -> Result<(), Refusal> {
    let there = fs::read_dir(folder).map_or(0, Iterator::count);
    match there {
        0 => Ok(()),
        _ => Err(Refusal(format!(
            "the folder {} is not empty\n  expected: a new or empty folder\n  remedy: name another folder",
            folder.display()
        ))),
    }
}

fn readme(product: &Product, report: &Report) -> String {
    let record = &report.record;
    let subject = &record.subject;
    let mut text = format!(
        "# {} {}\n\n{}.\n\n## Check it\n```\nweighbridge verify report.json --attestation \
         report.intoto.jsonl --key key.pub\n```\n\n## Repeat it\nThe judge is weighbridge {}, commit {}. \
         The loader can be had from {}; ask {}. Models were read from {}.\n\n```\n",
        product.loader,
        product.version,
        crate::harness::report::outcome::certificate(report),
        subject.suite,
        subject.commit,
        product.source,
        product.contact,
        product.file_system
    );
    for part in &record.parts {
        let seed = match part.is_sealed() {
            true => String::new(),
            false => format!(" --seed 0x{}", part.seed),
        };
        text += &format!(
            "weighbridge certify --loader MANIFEST --device {}{seed}   # command: {}\n",
            part.device,
            part.command.join(" ")
        );
    }
    text += "```\n";
    // A loader's name may hold anything.
    text.lines().map(crate::harness::report::text::plain).collect::<Vec<_>>().join("\n") + "\n"
}
