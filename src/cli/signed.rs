//! The signature of a model, as OpenSSF model signing writes it: who signed, and whether the files are the signed ones.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::contract::Phase;
use crate::harness::attest::bundle;
use crate::harness::attest::key::PublicKey;
use crate::loader::error::{LoadError, Result, quote};
use crate::loader::remedies::index_and_seal::{SIGNATURE_FORM, SIGNATURE_KEY, SIGNATURE_OF_OTHERS};
use crate::loader::seal::signed::SignedFiles;

/// No signature is longer, in bytes. A signed file takes some 200.
const LONGEST: u64 = 64 << 20;

/// A signature, and the key that it is checked with.
#[derive(Clone, Debug, Default, Args)]
pub struct SignatureArgs {
    /// Compare every file of the model with its signature, as OpenSSF model signing writes it, and refuse the model
    /// if one differs, is missing or is not signed.
    #[arg(long, value_name = "FILE", requires = "key")]
    signature: Option<PathBuf>,
    /// The public key of whom you trust to sign, in PEM: Ed25519, or ECDSA over P-256, P-384 or P-521.
    #[arg(long, value_name = "FILE", requires = "signature")]
    key: Option<PathBuf>,
}

/// The files that a key has signed.
pub struct Signature {
    /// Where the signature is.
    pub path: PathBuf,
    /// SHA-256 of the key.
    pub key: String,
    /// The files.
    pub files: SignedFiles,
}

impl SignatureArgs {
    /// Reads the signature and checks it with the key; `None` if none was given.
    ///
    /// # Errors
    /// A file or key that cannot be read, a signature by another key, a statement of another form.
    pub fn open(&self) -> Result<Option<Signature>> {
        let (Some(path), Some(key)) = (&self.signature, &self.key) else { return Ok(None) };
        let key = PublicKey::read(key).map_err(|error| {
            // The error tells its own remedy; the row of the table has it for this command.
            let why = error.to_string();
            let why = why.lines().next().unwrap_or_default();
            LoadError::refused(Phase::Open, SIGNATURE_KEY, why).path(key)
        })?;
        let statement = statement(path, &key).map_err(|error| error.path(path))?;
        let files = SignedFiles::parse(&statement).map_err(|error| error.path(path))?;
        Ok(Some(Signature { path: path.clone(), key: key.id(), files }))
    }
}

/// The statement that the key has signed.
fn statement(path: &Path, key: &PublicKey) -> Result<Vec<u8>> {
    let broken = |message: &str| LoadError::refused(Phase::Verify, SIGNATURE_FORM, message);
    let read = std::fs::metadata(path).and_then(|file| match file.len() {
        0..=LONGEST => std::fs::read_to_string(path),
        bytes => Err(std::io::Error::other(format!("{bytes} bytes are too long for a signature"))),
    });
    let text = read.map_err(|error| {
        broken("the signature cannot be read").expected("a readable file in UTF-8", error)
    })?;
    let envelopes = bundle::envelopes(&text).map_err(|(_, error)| {
        broken("not the signature of a model").expected("a sigstore bundle", error)
    })?;
    let [envelope] = envelopes.as_slice() else {
        return Err(broken("not one signature").expected(1, envelopes.len()));
    };
    envelope.open(key).map_err(|error| {
        LoadError::refused(Phase::Verify, SIGNATURE_OF_OTHERS, "not signed by the given key")
            .expected(format!("a signature by {}", key.id()), quote(&error.to_string()))
    })
}
