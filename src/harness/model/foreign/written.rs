//! A written file with the model that a loader must hold of it, and what both formats read of a configuration.

use serde::Deserialize;
use serde_json::Value;

use super::super::Model;

/// How matrices are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantised {
    /// Eight bits, 32 elements a block.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// Four bits, 256 elements a block.
    Q4K,
    /// Six bits, 256 elements a block.
    Q6K,
}

/// A file, and the model that a loader must hold of it, under the names that models are published by.
pub struct Written {
    /// The file.
    pub bytes: Vec<u8>,
    /// The model; of quantised matrices what their blocks say, as F32, and as F32 too what GGUF has in no
    /// other type.
    pub held: Model,
}

/// A size of the configuration.
pub(super) fn size(config: &Value, field: &str) -> Result<u64, String> {
    config[field].as_u64().ok_or_else(|| format!("the configuration's {field} is no size"))
}

/// Every token that ends a sequence.
pub(super) fn ends(config: &Value) -> Vec<u64> {
    let value = &config["eos_token_id"];
    let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    all.iter().filter_map(Value::as_u64).collect()
}
