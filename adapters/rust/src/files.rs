//! Files of a conversation: what was written, and the tokens that end a sequence.

use std::path::Path;
use std::{fs, io};

use serde_json::Value;
use sha2::{Digest, Sha256};
use weighbridge::contract::reply::Written;
use weighbridge::contract::{Code, Failure, Phase};

use crate::refused;

/// Size and digest of a written file.
///
/// # Errors
/// Where it cannot be read.
pub fn written(path: &Path) -> io::Result<Written> {
    let bytes = fs::read(path)?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Written { bytes: bytes.len() as u64, sha256 })
}

/// `eos_token_id` of a configuration: none, one or several.
pub fn ends(fields: &Value) -> Vec<u32> {
    let one = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match &fields["eos_token_id"] {
        Value::Array(several) => several.iter().filter_map(one).collect(),
        single => one(single).into_iter().collect(),
    }
}

/// The end tokens of `generation_config.json`, where it names any.
///
/// # Errors
/// `invalid_config` where it cannot be read.
pub fn generation_ends(path: &Path) -> Result<Option<Vec<u32>>, Failure> {
    let bad = |text: String| refused(Phase::Header, Code::InvalidConfig, text).path(path);
    let text = fs::read(path).map_err(|error| bad(error.to_string()))?;
    let fields: Value = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    Ok(Some(ends(&fields)).filter(|ends| !ends.is_empty()))
}
