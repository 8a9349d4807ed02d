//! Keys in files: Ed25519, PEM, PKCS#8 for the private and SPKI for the public key, as `openssl` writes them.

use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::harness::evidence::digest::sha256_hex;

/// No key is longer, in bytes.
const LONGEST: u64 = 64 << 10;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the key {path}: {source}\n  remedy: name a readable file")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file is no key of the expected kind.
    #[error(
        "{path} is no {wanted}: {why}\n  expected: {wanted}, Ed25519, in PEM\n  remedy: {remedy}"
    )]
    NotOne {
        /// The file.
        path: PathBuf,
        /// Which key was wanted.
        wanted: &'static str,
        /// What was found.
        why: String,
        /// How to make one.
        remedy: &'static str,
    },
}

/// A key that signs.
pub struct PrivateKey(SigningKey);

/// A key that checks signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PrivateKey {
    /// Reads a private key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<PrivateKey, KeyError> {
        let remedy = "make one with `openssl genpkey -algorithm ed25519 -out key.pem`";
        let wanted = "private key (PKCS#8)";
        let text = text(path)?;
        SigningKey::from_pkcs8_pem(&text).map(PrivateKey).map_err(|error| KeyError::NotOne {
            path: path.to_owned(),
            wanted,
            why: found(&text, &error),
            remedy,
        })
    }

    /// Signs a message; 64 bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }
}

impl PublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<PublicKey, KeyError> {
        let remedy = "write it with `openssl pkey -in key.pem -pubout -out key.pub`";
        let wanted = "public key (SPKI)";
        let text = text(path)?;
        VerifyingKey::from_public_key_pem(&text).map(PublicKey).map_err(|error| KeyError::NotOne {
            path: path.to_owned(),
            wanted,
            why: found(&text, &error),
            remedy,
        })
    }

    /// Whether this key's owner signed the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }

    /// SHA-256 of the key's DER form, in hex digits: its name in envelopes.
    pub fn id(&self) -> String {
        // The encoding of a valid key cannot fail; without it the key has no name, and no envelope fits.
        self.0.to_public_key_der().map_or_else(|_| String::new(), |der| sha256_hex(der.as_bytes()))
    }
}

fn text(path: &Path) -> Result<String, KeyError> {
    let unreadable = |source| KeyError::Unreadable { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > LONGEST {
        let why = format!("{length} bytes are too long for a key");
        return Err(unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, why)));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// What a file holds instead, without showing any of a secret.
fn found(text: &str, error: &dyn std::fmt::Display) -> String {
    let first = text.lines().find(|line| line.starts_with("-----BEGIN "));
    match first {
        Some(line) => {
            format!("it begins with {:?} ({error})", line.chars().take(60).collect::<String>())
        }
        None => "it is no PEM file".to_owned(),
    }
}
