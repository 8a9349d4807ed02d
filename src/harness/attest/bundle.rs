//! Sigstore bundles: an envelope, and who signed it. Source: sigstore's protobuf-specs, `sigstore_bundle.proto`,
//! version 0.3.
//!
//! Bundles by a key are written and read. What else a bundle may hold, a certificate or the entries of a
//! transparency log, proves identity and time to other tools; this program does not use it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::envelope::{Envelope, EnvelopeError};
use super::key::PublicKey;

/// How the media type of every bundle begins.
const FAMILY: &str = "application/vnd.dev.sigstore.bundle";
/// The media type of the bundles that are written.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: Material,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dsse_envelope: Option<Envelope>,
}

/// By what a bundle is to be checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<Hint>,
    #[serde(default)]
    tlog_entries: Vec<Value>,
}

/// Which key signed. It is a hint and not signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hint {
    #[serde(default)]
    hint: String,
}

/// The text of a bundle with this envelope, which the key has signed.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn write(envelope: Envelope, key: &PublicKey) -> serde_json::Result<String> {
    let public_key = Some(Hint { hint: key.id() });
    serde_json::to_string(&Bundle {
        media_type: MEDIA_TYPE.to_owned(),
        verification_material: Material { public_key, tlog_entries: Vec::new() },
        dsse_envelope: Some(envelope),
    })
}

/// Every envelope in a text: of its own or in a bundle, one after the other.
///
/// # Errors
/// [`EnvelopeError`], with the number of the envelope, from 1.
pub fn envelopes(text: &str) -> Result<Vec<Envelope>, (usize, EnvelopeError)> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let read = |(number, value): (usize, serde_json::Result<Value>)| {
        let value = value.map_err(|error| (number, EnvelopeError::Form(error.to_string())))?;
        envelope(value).map_err(|error| (number, error))
    };
    (1..).zip(values).map(read).collect()
}

fn envelope(value: Value) -> Result<Envelope, EnvelopeError> {
    let form = |error: serde_json::Error| EnvelopeError::Form(error.to_string());
    if value.get("mediaType").is_none() {
        return serde_json::from_value(value).map_err(form);
    }
    let bundle: Bundle = serde_json::from_value(value).map_err(form)?;
    if !bundle.media_type.starts_with(FAMILY) {
        let found = format!("the media type {:?}, expected {MEDIA_TYPE:?}", bundle.media_type);
        return Err(EnvelopeError::Form(found));
    }
    if bundle.verification_material.public_key.is_none() {
        return Err(EnvelopeError::Identity);
    }
    bundle
        .dsse_envelope
        .ok_or_else(|| EnvelopeError::Form("the bundle has no dsseEnvelope".to_owned()))
}
