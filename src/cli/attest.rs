//! `weighbridge attest`: signs statements about a report.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::exit;
use super::fault::{Fault, print};
use super::weighing::Embedded;
use crate::harness::against;
use crate::harness::attest::check::{self, Attested};
use crate::harness::attest::key::{PrivateKey, PublicKey};
use crate::harness::attest::statement::ReportFile;
use crate::harness::evidence::build::now;
use crate::harness::evidence::digest::sha256_hex;
use crate::harness::record::whole::write_whole;
use crate::harness::record::{Report, Stored};

/// Vouch for a report: sign statements about it with a key of yours.
///
/// The report must agree with itself (`weighbridge verify`). What it says of machine, time and loader is
/// what you vouch for. The file has one DSSE envelope a line, each with an in-toto statement about the
/// loader's program: test results, a verification summary, and this program's own, which has classes,
/// points, policy and the sums.
///
/// Exit codes: 0 signed, 1 the report does not agree with itself, 2 usage.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A report.json.
    report: PathBuf,
    /// The private key: Ed25519, PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write. The default is the report's name with `.intoto.jsonl` in place of `.json`.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Signs.
///
/// # Errors
///
/// [`Fault`]: the report or the key cannot be used, the file cannot be written.
pub fn run(args: &Args, embedded: &Embedded, out: &mut dyn Write) -> Result<u8, Fault> {
    let key = PrivateKey::read(&args.key)?;
    let (report, sha256) = read(&args.report, embedded)?;
    let text = check::sign(&ReportFile { report: &report, sha256: &sha256 }, &now(), &key)?;
    let path = args.out.clone().unwrap_or_else(|| args.report.with_extension("intoto.jsonl"));
    write_whole(&path, text.as_bytes())?;
    let (path, key) = (path.display().to_string(), key.public().id());
    let told = match args.json {
        true => format!("{}\n", json!({"attestations": path, "report_sha256": sha256, "key": key})),
        false => format!("report: {sha256}\nkey: {key}\nattestations: {path}\n"),
    };
    print(out, &told)?;
    Ok(exit::CORROBORATED)
}

/// A report that agrees with itself, and the SHA-256 of its file.
fn read(path: &Path, embedded: &Embedded) -> Result<(Report, String), Fault> {
    let stored = Stored::read(path)?;
    let sha256 = sha256_of(path)?;
    if let Some(first) = against::verify(&stored, embedded.own()).mismatches.into_iter().next() {
        return Err(Fault::Disagrees { path: path.to_owned(), first });
    }
    match stored {
        Stored::Report(report) => Ok((*report, sha256)),
        _ => Err(Fault::NoReport(path.to_owned())),
    }
}

/// What the attestations about a report say, or what is wrong with them; `None` if none were given.
pub(super) fn attested(
    path: &Path,
    attestation: Option<&Path>,
    key: Option<&Path>,
    stored: &Stored,
) -> Result<Option<Result<Attested, check::Fault>>, Fault> {
    let (Some(attestation), Some(key)) = (attestation, key) else { return Ok(None) };
    let Stored::Report(report) = stored else { return Err(Fault::NoReport(path.to_owned())) };
    let key = PublicKey::read(key)?;
    let unreadable = |source| Fault::Unreadable { path: attestation.to_owned(), source };
    let text = std::fs::read_to_string(attestation).map_err(unreadable)?;
    let sha256 = sha256_of(path)?;
    Ok(Some(check::check(&text, &ReportFile { report, sha256: &sha256 }, &key)))
}

/// The SHA-256 of a report's file.
fn sha256_of(path: &Path) -> Result<String, Fault> {
    let unreadable = |source| Fault::Unreadable { path: path.to_owned(), source };
    std::fs::read(path).map(|bytes| sha256_hex(&bytes)).map_err(unreadable)
}
