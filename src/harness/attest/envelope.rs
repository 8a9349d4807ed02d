//! DSSE envelopes: a payload, its type, and signatures over both. Source: the DSSE protocol, version 1.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

use super::key::{PrivateKey, PublicKey};

/// The type of an in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A signed payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The payload, in base64.
    pub payload: String,
    /// What the payload is.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The signatures.
    pub signatures: Vec<Signature>,
}

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The key's name. It is a hint and not signed.
    #[serde(default)]
    pub keyid: String,
    /// The signature, in base64.
    pub sig: String,
}

/// Why an envelope is not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The payload is of another type.
    #[error("the envelope holds {0:?}, expected {IN_TOTO:?}")]
    Type(String),
    /// The payload is no base64.
    #[error("the envelope's payload is no base64: {0}")]
    Base64(String),
    /// Only a certificate says who signed, and this program checks keys.
    #[error(
        "the bundle names its signer by a certificate, expected a public key\n  remedy: check it with \
         `cosign verify-blob-attestation`, or have it signed with a key"
    )]
    Identity,
    /// The text is neither an envelope nor a bundle with one.
    #[error("not a DSSE envelope, nor a sigstore bundle with one: {0}")]
    Form(String),
    /// No signature is by the given key.
    #[error("no signature of this envelope is by the key {wanted}; it names {}", names(.found))]
    NotSigned {
        /// The name of the given key.
        wanted: String,
        /// The names in the envelope.
        found: Vec<String>,
    },
}

impl Envelope {
    /// Signs an in-toto statement.
    pub fn sign(statement: &[u8], key: &PrivateKey) -> Envelope {
        let signature = key.sign(&signed_bytes(IN_TOTO, statement));
        Envelope {
            payload: STANDARD.encode(statement),
            payload_type: IN_TOTO.to_owned(),
            signatures: vec![Signature {
                keyid: key.public().id(),
                sig: STANDARD.encode(signature),
            }],
        }
    }

    /// The statement, if one of the signatures is by this key.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn open(&self, key: &PublicKey) -> Result<Vec<u8>, EnvelopeError> {
        if self.payload_type != IN_TOTO {
            return Err(EnvelopeError::Type(self.payload_type.clone()));
        }
        let payload =
            decoded(&self.payload).map_err(|error| EnvelopeError::Base64(error.to_string()))?;
        let signed = signed_bytes(&self.payload_type, &payload);
        let by_key = |one: &Signature| {
            decoded(&one.sig).is_ok_and(|signature| key.verifies(&signed, &signature))
        };
        match self.signatures.iter().any(by_key) {
            true => Ok(payload),
            false => Err(EnvelopeError::NotSigned {
                wanted: key.id(),
                found: self.signatures.iter().map(|one| one.keyid.clone()).collect(),
            }),
        }
    }
}

/// The bytes that are signed: type and payload, each with its length, so that neither can be moved into the other.
fn signed_bytes(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Both alphabets of base64 are allowed.
fn decoded(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text))
}

fn names(found: &[String]) -> String {
    match found {
        [] => "none".to_owned(),
        some => some.join(", "),
    }
}
