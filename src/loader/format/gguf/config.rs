//! Converts GGUF's metadata to the `config.json` of the same model. Refuses unknown keys of the
//! architecture, because they may change the computation.

use serde_json::{Map, Value as Json, json};

use crate::loader::error::{LoadError, Result, quote};

use super::keys;
use super::metadata::Metadata;
use super::value::Value;
use crate::loader::format::{damaged_setting, not_supported};
use crate::loader::remedies::formats::{GGUF_ARCHITECTURE, GGUF_ROWS};

/// Keys after the architecture's name that are read below, or that only repeat the tensors' shapes.
const KEYS: [&str; 22] = [
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.causal",
    "attention.sliding_window",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scale_linear",
    "rope.scaling.finetuned",
    // Only scalings that are refused use it.
    "rope.scaling.original_context_length",
    "expert_count",
    "expert_used_count",
    "tensor_data_layout",
];

/// The model's family and its heads, which decide the order of rows.
pub struct Family {
    name: String,
    layers: u64,
    heads: u64,
    key_heads: u64,
}

impl Family {
    /// Reads the family from the metadata.
    ///
    /// # Errors
    /// `unknown_architecture`; `invalid_config` for unknown keys, or for layers that differ.
    pub fn of(metadata: &Metadata) -> Result<Family> {
        let name = metadata.text("general.architecture")?;
        let known = ["llama", "qwen2", "qwen3"];
        let Some(name) = name.filter(|name| known.contains(name)) else {
            return Err(LoadError::header(GGUF_ARCHITECTURE, "architecture not supported")
                .expected(
                    format!("general.architecture: one of {}", known.join(", ")),
                    name.map_or_else(|| "none".to_owned(), quote),
                ));
        };
        let layers = size(metadata, &format!("{name}.block_count"))?;
        let heads = layered(metadata, &format!("{name}.attention.head_count"), layers)?;
        let key_heads =
            metadata.for_all_layers(&format!("{name}.attention.head_count_kv"), layers)?;
        let family =
            Family { layers, heads, key_heads: key_heads.unwrap_or(heads), name: name.to_owned() };
        let prefix = format!("{name}.");
        if let Some(key) = metadata.behind(&prefix).find(|key| !KEYS.contains(key)) {
            let key = quote(&format!("{prefix}{key}"));
            return Err(not_supported(&key, "the keys of a plain decoder", &key));
        }
        Ok(family)
    }

    /// Whether files of the family may hold divisors of the rotary frequencies.
    pub fn has_rope_factors(&self) -> bool {
        self.name == "llama"
    }

    /// Returns the number of heads if a tensor's rows were reordered. llama.cpp rotates
    /// neighbouring elements in models of the family llama, so its converter reorders the rows of
    /// queries and keys.
    ///
    /// # Errors
    /// `shape_mismatch` if the rows cannot be split into heads of an even size.
    pub fn turned(&self, name: &str, shape: &[u64]) -> Result<Option<u64>> {
        let part = name.strip_prefix("blk.").and_then(|rest| rest.split('.').nth(1));
        let heads = match part {
            _ if self.name != "llama" => return Ok(None),
            Some("attn_q") => self.heads,
            Some("attn_k") => self.key_heads,
            _ => return Ok(None),
        };
        let rows = shape.first().copied().unwrap_or(0);
        match heads > 0 && rows.is_multiple_of(2 * heads) {
            true => Ok(Some(heads)),
            false => Err(LoadError::header(
                GGUF_ROWS,
                format!("the rows of {} are not a whole number of heads", quote(name)),
            )
            .tensor(name)
            .expected(format!("{heads} heads of an even size"), format!("{rows} rows"))),
        }
    }
}

/// Returns a required number above zero.
fn size(metadata: &Metadata, key: &str) -> Result<u64> {
    above_zero(key, metadata.whole(key)?)
}

/// Returns a required number above zero that may be given for each layer.
fn layered(metadata: &Metadata, key: &str, layers: u64) -> Result<u64> {
    above_zero(key, metadata.for_all_layers(key, layers)?)
}

fn above_zero(key: &str, found: Option<u64>) -> Result<u64> {
    match found {
        Some(size) if size > 0 => Ok(size),
        found => Err(damaged_setting(format!("{key} is missing or zero"))
            .expected("a whole number above zero", if found.is_some() { "0" } else { "none" })),
    }
}

/// Builds the configuration. `vocabulary` is the number of rows of the embeddings.
///
/// # Errors
/// `invalid_config`.
pub fn document(
    metadata: &Metadata,
    family: &Family,
    vocabulary: Option<u64>,
    has: &dyn Fn(&str) -> bool,
) -> Result<Json> {
    let key = |part: &str| format!("{}.{part}", family.name);
    let sized = |part: &str| size(metadata, &key(part));
    let must_be = |part: &str, wanted: u64| match metadata.whole(&key(part))? {
        Some(found) if found != wanted => {
            Err(not_supported(&format!("{} = {found}", key(part)), wanted, found))
        }
        _ => Ok(()),
    };
    let (hidden, heads) = (sized("embedding_length")?, family.heads);
    let head = match metadata.whole(&key("attention.key_length"))? {
        Some(head) => head,
        None if hidden.is_multiple_of(heads) => hidden / heads,
        None => {
            return Err(damaged_setting("heads do not divide the width")
                .expected(format!("a divisor of {hidden}"), heads));
        }
    };
    must_be("attention.value_length", head)?;
    must_be("rope.dimension_count", head)?;
    must_be("expert_count", 0)?;
    must_be("expert_used_count", 0)?;
    if let Some(vocabulary) = vocabulary {
        must_be("vocab_size", vocabulary)?;
    }
    plain(metadata, family)?;
    let epsilon = metadata.number(&key("attention.layer_norm_rms_epsilon"))?.ok_or_else(|| {
        damaged_setting("no epsilon").expected(key("attention.layer_norm_rms_epsilon"), "none")
    })?;
    let window = metadata.whole(&key("attention.sliding_window"))?.filter(|window| *window > 0);
    let model_type = match (family.name.as_str(), window) {
        // A Llama with a sliding window is a Mistral; nothing else differs.
        ("llama", Some(_)) => "mistral",
        (_, Some(window)) => {
            return Err(not_supported("a window of attention in this family", "none", window));
        }
        (name, None) => name,
    };
    let mut document = json!({
        "model_type": model_type,
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": family.layers,
        "num_attention_heads": heads,
        "num_key_value_heads": family.key_heads,
        "head_dim": head,
        "intermediate_size": layered(metadata, &key("feed_forward_length"), family.layers)?,
        "max_position_embeddings": sized("context_length")?,
        "rms_norm_eps": epsilon,
        "rope_theta": metadata.number(&key("rope.freq_base"))?.unwrap_or(10_000.0),
        "hidden_act": "silu",
        "sliding_window": window,
        "attention_bias": has("blk.0.attn_q.bias"),
        "mlp_bias": has("blk.0.ffn_gate.bias"),
        "tie_word_embeddings": !has("output.weight"),
        "eos_token_id": ends(metadata)?,
    });
    if let Some(fields) = document.as_object_mut() {
        if let Some(factor) = linear(metadata, family)? {
            let scaling = json!({"rope_type": "linear", "factor": factor});
            fields.insert("rope_scaling".to_owned(), scaling);
        }
        if let Some(padding) = metadata.whole("tokenizer.ggml.padding_token_id")? {
            fields.insert("pad_token_id".to_owned(), json!(padding));
        }
        // Keys that the reader does not know go along, so that they are reported like unknown fields
        // of a config.json.
        for (key, value) in metadata.all().filter(|(key, _)| !keys::known(&family.name, key)) {
            fields.insert(key.clone(), json!(value.to_string()));
        }
    }
    Ok(Json::Object(present(document)))
}

/// The factor by which all angles of the rotary positions are divided. Like llama.cpp, takes a
/// scaling without a type for a linear one, and a factor of 0 for none.
fn linear(metadata: &Metadata, family: &Family) -> Result<Option<f64>> {
    let key = |part: &str| format!("{}.{part}", family.name);
    let (new, old) = (key("rope.scaling.factor"), key("rope.scale_linear"));
    let stated = |key: &str| -> Result<Option<f64>> {
        Ok(metadata.number(key)?.filter(|factor| ![0.0, 1.0].contains(factor)))
    };
    let factor = match (stated(&new)?, stated(&old)?) {
        (Some(one), Some(two)) if one != two => {
            let both = format!("{new} = {one} and {old} = {two}");
            return Err(not_supported(&both, "one factor", &both));
        }
        (one, two) => one.or(two),
    };
    let none = metadata.text(&key("rope.scaling.type"))? == Some("none");
    match factor {
        Some(factor) if none => {
            let setting = format!("{new} = {factor} beside a scaling of type none");
            Err(not_supported(&setting, "a factor of 1, or the type linear", factor))
        }
        factor => Ok(factor),
    }
}

/// Refuses unsupported settings of RoPE scaling, of causality and of the data layout.
fn plain(metadata: &Metadata, family: &Family) -> Result<()> {
    let key = |part: &str| format!("{}.{part}", family.name);
    let refuse = |part: &str, found: &Value| {
        Err(not_supported(&format!("{} = {found}", key(part)), "none", found))
    };
    let word = |text: &str| Value::Text(text.to_owned());
    for (part, harmless) in [
        ("rope.scaling.type", vec![word("none"), word("linear")]),
        ("attention.causal", vec![Value::Flag(true)]),
    ] {
        match metadata.get(&key(part)) {
            Some(found) if !harmless.contains(found) => return refuse(part, found),
            _ => {}
        }
    }
    match metadata.get(&key("tensor_data_layout")) {
        Some(found) => refuse("tensor_data_layout", found),
        None => Ok(()),
    }
}

/// Returns the tokens for the end of a sequence, turn or message.
fn ends(metadata: &Metadata) -> Result<Option<Vec<u64>>> {
    let mut all = Vec::new();
    for name in ["eos", "eot", "eom"] {
        if let Some(id) = metadata.whole(&format!("tokenizer.ggml.{name}_token_id"))?
            && !all.contains(&id)
        {
            all.push(id);
        }
    }
    Ok((!all.is_empty()).then_some(all))
}

/// Removes null fields: a missing field means its default, but null may mean something else.
fn present(document: Json) -> Map<String, Json> {
    let Json::Object(fields) = document else { return Map::new() };
    fields.into_iter().filter(|(_, value)| !value.is_null()).collect()
}
