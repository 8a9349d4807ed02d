//! The text of `config.json` and `generation_config.json`: one strict JSON value.

use serde_json::Value;

use crate::loader::error::{Result, quote};
use crate::loader::format::safetensors::json::{self, JsonError};
use crate::loader::remedies::config::{CONFIG_KEY_TWICE, CONFIG_NOT_JSON, CONFIG_NOT_UTF8};

use super::fields::invalid;

/// Longest text, in bytes.
pub(super) const LONGEST: u64 = 1 << 20;

/// Parses JSON, and refuses duplicate keys.
pub(super) fn strict(bytes: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| invalid(CONFIG_NOT_UTF8, "not UTF-8").expected("UTF-8", error))?;
    json::check(text).map_err(|error| {
        let cause = match &error {
            JsonError::Syntax { .. } => CONFIG_NOT_JSON.into(),
            JsonError::Duplicate { key, .. } => CONFIG_KEY_TWICE.about([&quote(key)]),
        };
        invalid(cause, "not strict JSON").expected("one JSON object", error.shown(text))
    })?;
    serde_json::from_str(text)
        .map_err(|error| invalid(CONFIG_NOT_JSON, "not JSON").expected("one JSON object", error))
}
