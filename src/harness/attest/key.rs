//! Keys in files: PEM, PKCS#8 for the private and SPKI for the public key, as `openssl` writes them. Ed25519, and
//! ECDSA over P-256, P-384 and P-521, the kinds that cosign and OpenSSF model signing use.

use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey};
use ed25519_dalek::{Signer, Verifier};

use crate::harness::evidence::digest::sha256_hex;

/// No key is longer, in bytes.
const LONGEST: u64 = 64 << 10;
/// The kinds of keys, in words.
const KINDS: &str = "Ed25519, or ECDSA over P-256, P-384 or P-521";

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
        "{path} is no {wanted}: {why}\n  expected: {wanted}, {KINDS}, in PEM\n  remedy: {remedy}"
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

/// Defines both halves of a key: a variant for each kind, with its crate's types.
macro_rules! kinds {
    ($($kind:ident: $sign:ty, $verify:ty, $signature:ty, $check:ident, $bytes:expr;)*) => {
        /// A key that signs.
        pub enum PrivateKey {
            $(#[doc = stringify!($kind)] $kind($sign),)*
        }

        /// A key that checks signatures.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum PublicKey {
            $(#[doc = stringify!($kind)] $kind($verify),)*
        }

        impl PrivateKey {
            fn parse(text: &str) -> Option<PrivateKey> {
                $(if let Ok(key) = <$sign>::from_pkcs8_pem(text) { return Some(PrivateKey::$kind(key)); })*
                None
            }

            /// Signs a message: 64 bytes for Ed25519, DER for ECDSA, as the form of envelopes has it.
            pub fn sign(&self, message: &[u8]) -> Vec<u8> {
                match self {
                    $(PrivateKey::$kind(key) => {
                        let signature: $signature = key.sign(message);
                        let bytes: fn(&$signature) -> Vec<u8> = $bytes;
                        bytes(&signature)
                    })*
                }
            }

            /// The public half.
            pub fn public(&self) -> PublicKey {
                match self {
                    $(PrivateKey::$kind(key) => PublicKey::$kind(<$verify>::from(key)),)*
                }
            }
        }

        impl PublicKey {
            fn parse(text: &str) -> Option<PublicKey> {
                $(if let Ok(key) = <$verify>::from_public_key_pem(text) { return Some(PublicKey::$kind(key)); })*
                None
            }

            fn der(&self) -> Option<Vec<u8>> {
                match self {
                    $(PublicKey::$kind(key) => key.to_public_key_der().ok().map(|der| der.as_bytes().to_vec()),)*
                }
            }

            /// Whether this key's owner signed the message.
            pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
                match self {
                    $(PublicKey::$kind(key) => <$signature>::try_from(signature)
                        .is_ok_and(|signature| key.$check(message, &signature).is_ok()),)*
                }
            }
        }
    };
}

kinds! {
    Ed25519: ed25519_dalek::SigningKey, ed25519_dalek::VerifyingKey, ed25519_dalek::Signature, verify_strict,
        |signature| signature.to_bytes().to_vec();
    P256: p256::ecdsa::SigningKey, p256::ecdsa::VerifyingKey, p256::ecdsa::DerSignature, verify,
        |signature| signature.as_bytes().to_vec();
    P384: p384::ecdsa::SigningKey, p384::ecdsa::VerifyingKey, p384::ecdsa::DerSignature, verify,
        |signature| signature.as_bytes().to_vec();
    P521: p521::ecdsa::SigningKey, p521::ecdsa::VerifyingKey, p521::ecdsa::DerSignature, verify,
        |signature| signature.as_bytes().to_vec();
}

impl PrivateKey {
    /// Reads a private key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<PrivateKey, KeyError> {
        let text = text(path)?;
        PrivateKey::parse(&text).ok_or_else(|| KeyError::NotOne {
            path: path.to_owned(),
            wanted: "private key (PKCS#8, not encrypted)",
            why: found(&text),
            remedy: "make one with `openssl genpkey -algorithm ed25519 -out key.pem`; `openssl pkcs8 -topk8 \
                     -nocrypt` brings an EC key into this form",
        })
    }
}

impl PublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<PublicKey, KeyError> {
        let text = text(path)?;
        PublicKey::parse(&text).ok_or_else(|| KeyError::NotOne {
            path: path.to_owned(),
            wanted: "public key (SPKI)",
            why: found(&text),
            remedy: "write it with `openssl pkey -in key.pem -pubout -out key.pub`",
        })
    }

    /// SHA-256 of the key's DER form, in hex digits: its name in envelopes.
    pub fn id(&self) -> String {
        // The encoding of a valid key cannot fail; without it the key has no name, and no envelope fits.
        self.der().map_or_else(String::new, |der| sha256_hex(&der))
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
fn found(text: &str) -> String {
    let first = text.lines().find(|line| line.starts_with("-----BEGIN "));
    match first {
        Some(line) => {
            format!("it begins with {:?}", line.chars().take(60).collect::<String>())
        }
        None => "it is no PEM file".to_owned(),
    }
}
