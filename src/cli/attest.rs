//! `weighbridge attest`: signs statements about a report.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::exit;
use super::fault::{Fault, bytes, print, text};
use super::weighing::Embedded;
use crate::harness::against;
use crate::harness::attest::bundle;
use crate::harness::attest::check::{self, Attested, Signed};
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
/// Exit codes: 0 signed, 2 usage, or the report does not agree with itself.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A report.json.
    report: PathBuf,
    /// The private key, PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it: Ed25519, or ECDSA over
    /// P-256, P-384 or P-521.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Write a sigstore bundle for each statement, for `cosign verify-blob-attestation --key`, in place of one file.
    #[arg(long)]
    sigstore: bool,
    /// Where to write. The default is the report's name with `.intoto.jsonl` in place of `.json`. With --sigstore,
    /// how the names of the files begin: `OUT.certificate.sigstore.json`.
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
    let signed = check::sign(&ReportFile { report: &report, sha256: &sha256 }, &now(), &key)?;
    let files = match args.sigstore {
        true => bundles(args, signed, &key.public())?,
        false => {
            let usual = || args.report.with_extension("intoto.jsonl");
            vec![(args.out.clone().unwrap_or_else(usual), check::lines(&signed)?)]
        }
    };
    let mut names = Vec::with_capacity(files.len());
    for (path, text) in &files {
        write_whole(path, text.as_bytes())?;
        names.push(path.display().to_string());
    }
    let key = key.public().id();
    let told = match args.json {
        true => {
            format!("{}\n", json!({"attestations": names, "report_sha256": sha256, "key": key}))
        }
        false => format!("report: {sha256}\nkey: {key}\nattestations: {}\n", names.join(", ")),
    };
    print(out, &told)?;
    Ok(exit::CORROBORATED)
}

/// A file for each statement: its name and the text of its bundle.
fn bundles(
    args: &Args,
    signed: Vec<Signed>,
    key: &PublicKey,
) -> Result<Vec<(PathBuf, String)>, Fault> {
    let prefix = args.out.clone().unwrap_or_else(|| args.report.with_extension(""));
    let file = |(kind, envelope): Signed| {
        // Of `https://in-toto.io/attestation/svr/v0.1`, the part before the version.
        let name = kind.rsplit('/').nth(1).unwrap_or("statement");
        let mut path = prefix.clone().into_os_string();
        path.push(format!(".{name}.sigstore.json"));
        let text = bundle::write(envelope, key).map_err(|error| check::Fault(error.to_string()))?;
        Ok((path.into(), text + "\n"))
    };
    signed.into_iter().map(file).collect()
}

/// A report that agrees with itself, and the SHA-256 of its file.
fn read(path: &Path, embedded: &Embedded) -> Result<(Report, String), Fault> {
    let stored = Stored::read(path)?;
    let sha256 = sha256_hex(&bytes(path)?);
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
    attestations: &[PathBuf],
    key: Option<&Path>,
    stored: &Stored,
) -> Result<Option<Result<Attested, check::Fault>>, Fault> {
    let Some(key) = key.filter(|_| !attestations.is_empty()) else { return Ok(None) };
    let Stored::Report(report) = stored else { return Err(Fault::NoReport(path.to_owned())) };
    let key = PublicKey::read(key)?;
    // A file may end without a line break.
    let texts = attestations.iter().map(|path| text(path)).collect::<Result<Vec<_>, _>>()?;
    let text = texts.join("\n");
    let sha256 = sha256_hex(&bytes(path)?);
    Ok(Some(check::check(&text, &ReportFile { report, sha256: &sha256 }, &key)))
}
