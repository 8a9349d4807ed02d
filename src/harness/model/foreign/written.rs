//! A written file with the model that a loader must hold, and configuration fields that both
//! formats use.

use serde::Deserialize;
use serde_json::Value;

use super::super::Model;

/// How matrices are quantised, by GGUF's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantised {
    /// Four bits, in blocks of 32 elements with one scale.
    #[serde(rename = "q4_0")]
    Q4_0,
    /// Four bits, in blocks of 32 elements with a scale and a minimum.
    #[serde(rename = "q4_1")]
    Q4_1,
    /// Five bits, in blocks of 32 elements with one scale.
    #[serde(rename = "q5_0")]
    Q5_0,
    /// Five bits, in blocks of 32 elements with a scale and a minimum.
    #[serde(rename = "q5_1")]
    Q5_1,
    /// Eight bits, in blocks of 32 elements.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// Two bits, in blocks of 256 elements.
    Q2K,
    /// Three bits, in blocks of 256 elements.
    Q3K,
    /// Four bits, in blocks of 256 elements.
    Q4K,
    /// Five bits, in blocks of 256 elements.
    Q5K,
    /// Six bits, in blocks of 256 elements.
    Q6K,
}

/// A file, and the model that a loader must hold after loading it.
pub struct Written {
    /// The file's bytes; of the first file, if there are several.
    pub bytes: Vec<u8>,
    /// The other files' bytes.
    pub others: Vec<Vec<u8>>,
    /// The model, with the tensor names of published checkpoints. Quantised matrices are their
    /// dequantised values as F32. Tensors that GGUF stores as F32 only are F32 too.
    pub held: Model,
}

/// A size of the configuration.
pub(super) fn size(config: &Value, field: &str) -> Result<u64, String> {
    let size = config[field].as_u64();
    size.ok_or_else(|| format!("the configuration's {field} is missing or not a size"))
}

/// Ids of the tokens that end a sequence.
pub(super) fn ends(config: &Value) -> Vec<u64> {
    let value = &config["eos_token_id"];
    let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    all.iter().filter_map(Value::as_u64).collect()
}
