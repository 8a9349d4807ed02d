//! `weighbridge submit`, `verify-submission` and `registry`: certifications for others to check.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use super::exit;
use super::fault::{Fault, bytes, print, text};
use super::weighing::Embedded;
use crate::harness::attest::key::{PrivateKey, PublicKey};
use crate::harness::evidence::build::now;
use crate::harness::record::Stored;
use crate::harness::report::Titles;
use crate::harness::report::text::plain;
use crate::harness::submission::make::{self, Facts, Parts};
use crate::harness::submission::{Refusal, check, registry};

/// Make a folder with everything about a certification, for others to check.
///
/// It is refused if something is left open: placeholders, a selection of cases, a judge that nobody else can
/// build, a report that is neither corroborated nor refuted. Exit codes: 0 made, 2 refused.
#[derive(Debug, clap::Args)]
pub struct Submit {
    /// A report.json.
    report: PathBuf,
    /// The attestations that `weighbridge attest` wrote.
    #[arg(long, value_name = "FILE")]
    attestation: PathBuf,
    /// The public key that they are signed with.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The journal of the run.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Whom to ask about the loader.
    #[arg(long, value_name = "TEXT")]
    contact: String,
    /// Where the loader can be had.
    #[arg(long, value_name = "TEXT")]
    source: String,
    /// The file system that the models were read from, such as `ext4 on NVMe`.
    #[arg(long, value_name = "TEXT")]
    file_system: String,
    /// How many cards one model is divided over.
    #[arg(long, default_value_t = 1, value_name = "N")]
    parallelism: u64,
    /// The new folder.
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
}

/// Check a submission offline, and counter-sign it for a registry.
///
/// Exit codes: 0 it holds, 1 it does not, 2 usage.
#[derive(Debug, clap::Args)]
pub struct VerifySubmission {
    /// The submission's folder.
    folder: PathBuf,
    /// The registry's private key: sign that the submission was checked.
    #[arg(long, value_name = "FILE")]
    countersign: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Make a static site of checked submissions: who holds which class, with a page and a badge for each.
///
/// A submission that does not hold or that the registry has not counter-signed is left out, and named. Exit codes:
/// 0 every submission is in it, 1 some were left out, 2 usage.
#[derive(Debug, clap::Args)]
pub struct Registry {
    /// A folder with a folder for each submission.
    submissions: PathBuf,
    /// The registry's public key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write the site.
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Makes a submission.
///
/// # Errors
/// [`Fault`]: files that cannot be used, open ends.
pub fn submit(args: &Submit, titles: &Titles, out: &mut dyn Write) -> Result<u8, Fault> {
    let key = PublicKey::read(&args.key)?;
    let Stored::Report(report) = Stored::read(&args.report)? else {
        return Err(Fault::NoReport(args.report.clone()));
    };
    let (bytes, attestations) = (bytes(&args.report)?, text(&args.attestation)?);
    let key_text = text(&args.key)?;
    let parts = Parts {
        report: (&bytes, &report),
        attestations: &attestations,
        key: (&key_text, &key),
        journal: args.journal.clone(),
    };
    let facts = Facts {
        contact: args.contact.clone(),
        source: args.source.clone(),
        file_system: args.file_system.clone(),
        parallelism: args.parallelism,
    };
    let made = make::make(&parts, &facts, titles, &args.out)?;
    let product = &made.product;
    let line = format!("{} {} on {}", product.loader, product.version, product.card);
    print(out, &format!("submission of {}: {}\n", plain(&line), args.out.display()))?;
    Ok(exit::CORROBORATED)
}

/// Checks a submission.
///
/// # Errors
/// [`Fault`]: the key cannot be used, the signature not be written.
pub fn verify(
    args: &VerifySubmission,
    embedded: &Embedded,
    out: &mut dyn Write,
) -> Result<u8, Fault> {
    let key = args.countersign.as_deref().map(PrivateKey::read).transpose()?;
    let checked = check::folder(&args.folder, embedded.own());
    if let (Ok(checked), Some(key)) = (&checked, &key) {
        registry::countersign(&args.folder, checked, key, &now())?;
    }
    let (code, text) = match (&checked, args.json) {
        (Ok(checked), true) => {
            let product = &checked.submission.product;
            let value = json!({"holds": true, "product": product, "own_suite": checked.own_suite,
                "submission_sha256": checked.sha256, "submitted_by": checked.attested.key});
            (exit::CORROBORATED, value.to_string())
        }
        (Ok(checked), false) => {
            (exit::CORROBORATED, format!("holds: {}", plain(&registry::words(checked))))
        }
        (Err(Refusal(why)), true) => {
            (exit::REFUTED, json!({"holds": false, "why": why}).to_string())
        }
        (Err(Refusal(why)), false) => (exit::REFUTED, format!("does not hold: {}", plain(why))),
    };
    print(out, &format!("{text}\n"))?;
    Ok(code)
}

/// Makes a registry.
///
/// # Errors
/// [`Fault`]: the key or the folders cannot be used.
pub fn registry(args: &Registry, embedded: &Embedded, out: &mut dyn Write) -> Result<u8, Fault> {
    let key = PublicKey::read(&args.key)?;
    let titles = embedded.titles();
    let now = chrono::Utc::now().fixed_offset();
    let made = registry::site(&args.submissions, (embedded.own(), &titles), &key, now, &args.out)?;
    let text = match args.json {
        true => json!({"admitted": made.admitted, "left_out": made.left_out}).to_string() + "\n",
        false => {
            let line = |(name, why): &(String, String)| {
                format!("left out: {}: {}\n", plain(name), plain(why))
            };
            let left: String = made.left_out.iter().map(line).collect();
            format!(
                "{left}{} submissions: {}\n",
                made.admitted.len(),
                args.out.join("index.html").display()
            )
        }
    };
    print(out, &text)?;
    Ok(if made.left_out.is_empty() { exit::CORROBORATED } else { exit::REFUTED })
}
