//! Reads the part of an APR file (version 2) before its data.
//!
//! The file has a header of 64 bytes with its CRC-32, metadata as JSON, an index of tensors in
//! ascending order of names, and the data. Each part and each tensor begins at a multiple of 64.
//! The last four bytes of the file are the CRC-32 of all bytes before them. Shapes are row-major.
//! Names are those under which models are published.
//!
//! Some metadata fields for the sizes of a model have their own names; other fields have the names
//! of `config.json`. The metadata may hold a vocabulary, but not the rules to split text. So a
//! tokenizer is read only from `tokenizer.huggingface.json`, which holds a complete
//! `tokenizer.json`. GGUF uses the same key.

use serde_json::{Map, Value, json};

use super::safetensors::{TensorInfo, json as strict};
use crate::contract::DType;
use crate::loader::error::{LoadError, Result, json_text, quote};
use crate::loader::remedies::formats::{
    APR_ARCHITECTURE, APR_CHECKSUM, APR_FEATURE, APR_FLAGS, APR_TOKENIZER, APR_TYPE_NOT_SUPPORTED,
    APR_VERSION, HEADER_ABOVE_LIMIT, TYPE_NOT_KNOWN,
};
use crate::loader::remedies::header::{
    HEADER_NOT_JSON, HEADER_NOT_UTF8, INVALID_FIELD, INVALID_LAYOUT, KEY_TWICE, SIZE_MISMATCH,
    SIZE_OVERFLOW, TOO_SHORT, TRUNCATED,
};

use super::blocks::Packing;
use super::front::Front;
use super::json_bounds;
use super::{
    EmbeddedDocuments, Import, ImportedFile, ImportedModel, ImportedTensor, Tail, another,
    damaged_setting, layout, not_supported,
};

/// First bytes of a file.
const MAGIC: &[u8] = b"APR\0";

/// Size of the header, and alignment of parts and tensors, in bytes.
const HEADER: u64 = 64;
const ALIGNMENT: u64 = 64;

/// Size of the shortest file: a header and a checksum.
const SHORTEST: u64 = HEADER + 4;

/// Limits: number of tensors, bytes of metadata, bytes of a name, dimensions. Source of all except
/// the first: the format's reference implementation.
const MOST_TENSORS: u64 = 1 << 17;
const LONGEST_METADATA: u64 = 16 << 20;

/// Most memory that the metadata takes as a tree of values, in bytes.
const MEMORY: usize = 256 << 20;
const LONGEST_NAME: u16 = 256;
const MOST_SIDES: u8 = 8;

/// Flags of features that are not supported.
const NOT_SERVED: [(u16, &str); 6] = [
    (1, "compression"),
    (1 << 1, "compression"),
    (1 << 2, "encryption"),
    (1 << 3, "a signature"),
    (1 << 4, "a model in several files"),
    (1 << 11, "column-major order"),
];

/// All flags that the format defines.
const FLAGS: u16 = (1 << 12) - 1;

/// Fields of the metadata, and the equivalent fields of `config.json`.
const FIELDS: [(&str, &str); 10] = [
    ("hidden_size", "hidden_size"),
    ("num_layers", "num_hidden_layers"),
    ("num_heads", "num_attention_heads"),
    ("num_kv_heads", "num_key_value_heads"),
    ("vocab_size", "vocab_size"),
    ("intermediate_size", "intermediate_size"),
    ("max_position_embeddings", "max_position_embeddings"),
    ("rope_theta", "rope_theta"),
    ("rms_norm_eps", "rms_norm_eps"),
    ("head_dim", "head_dim"),
];

/// Fields of `config.json` that the metadata may hold under their own names.
const FURTHER: [&str; 15] = [
    "hidden_act",
    "rope_scaling",
    "rope_parameters",
    "partial_rotary_factor",
    "sliding_window",
    "use_sliding_window",
    "attention_bias",
    "mlp_bias",
    "tie_word_embeddings",
    "eos_token_id",
    "pad_token_id",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "is_causal",
];

/// Reads a file up to its data.
///
/// # Errors
/// As for [`read`](super::read).
pub fn read(front: &mut Front<'_>) -> Result<ImportedModel> {
    let head = front.head();
    let too_short = || {
        LoadError::header(TOO_SHORT, "file shorter than an APR header and its checksum")
            .expected(format!("at least {SHORTEST} bytes"), format!("{} bytes", front.file_bytes()))
    };
    if !head.starts_with(MAGIC) {
        return Err(if MAGIC.starts_with(head) { too_short() } else { another("APR", head) });
    }
    if front.file_bytes() < SHORTEST {
        return Err(too_short());
    }
    let header: [u8; HEADER as usize] = front.array()?;
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    let mut sum = crc32fast::Hasher::new();
    sum.update(&header[..40]);
    sum.update(&header[44..]);
    let found = sum.finalize();
    if found != word(40) {
        return Err(LoadError::header(APR_CHECKSUM, "the header's CRC-32 differs")
            .expected(format!("{:08x}", word(40)), format!("{found:08x}")));
    }
    if header[4] != 2 {
        return Err(
            LoadError::header(APR_VERSION, "APR version not read").expected("version 2", header[4])
        );
    }
    let flags = u16::from_le_bytes([header[6], header[7]]);
    if let Some((_, what)) = NOT_SERVED.iter().find(|(flag, _)| flags & flag != 0) {
        let message = format!("{what} is not supported");
        return Err(LoadError::header(APR_FEATURE.about([what]), message)
            .expected("a file without it", format!("flags {flags:#06x}")));
    }
    if flags & !FLAGS != 0 {
        return Err(LoadError::header(APR_FLAGS, "flags that the format does not have")
            .expected(format!("flags within {FLAGS:#06x}"), format!("{flags:#06x}")));
    }
    // An entry has at least 20 bytes: length of the name, type, sides, offset, size.
    let tensors = front.count(u64::from(word(8)), 20, MOST_TENSORS, "tensors")?;
    let metadata_bytes = u64::from(word(20));
    if metadata_bytes > LONGEST_METADATA {
        return Err(LoadError::header(HEADER_ABOVE_LIMIT, "metadata implausibly long")
            .expected(format!("at most {LONGEST_METADATA} bytes"), metadata_bytes));
    }
    at(front, "metadata", long(12))?;
    let metadata = metadata(front.take(metadata_bytes)?)?;
    pad(front)?;
    at(front, "tensor index", long(24))?;
    let mut all = Vec::new();
    for _ in 0..tensors {
        let tensor = entry(front)?;
        ascending(all.last(), &tensor)?;
        all.push(tensor);
    }
    pad(front)?;
    at(front, "data", long(32))?;
    let data = front.taken()..front.file_bytes();
    let data_bytes = (data.end - data.start).checked_sub(4).ok_or_else(|| {
        LoadError::header(TRUNCATED, "file ends before its CRC-32")
            .expected("4 bytes at least", data.end - data.start)
    })?;
    layout::check(&all, ALIGNMENT, data_bytes)?;
    let has = |name: &str| all.iter().any(|tensor| tensor.info.name.ends_with(name));
    let documents = EmbeddedDocuments {
        config: document(&metadata, &has)?,
        tokenizer: tokenizer(&metadata)?,
        template: template(&metadata),
        ..EmbeddedDocuments::default()
    };
    let tail = Some(Tail::new(front.sum(), data.end - data.start));
    Ok(ImportedModel { tensors: all, documents, files: vec![ImportedFile { data, tail }] })
}

/// Checks that a part begins where the header says.
fn at(front: &Front<'_>, part: &str, told: u64) -> Result<()> {
    if told == front.taken() {
        return Ok(());
    }
    Err(LoadError::header(INVALID_LAYOUT, format!("{part} does not begin where it must"))
        .expected(format!("byte {}", front.taken()), told))
}

fn pad(front: &mut Front<'_>) -> Result<()> {
    front.take(front.taken().next_multiple_of(ALIGNMENT) - front.taken()).map(drop)
}

/// Parses the metadata: strict JSON, one object.
fn metadata(bytes: &[u8]) -> Result<Map<String, Value>> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        LoadError::header(HEADER_NOT_UTF8, "metadata is not UTF-8").expected("UTF-8", error)
    })?;
    let not_json = |found: String| {
        LoadError::header(HEADER_NOT_JSON, "metadata is not JSON")
            .expected("one JSON object", found)
    };
    match strict::check(text) {
        Ok(end) if text[end..].trim_matches(' ').is_empty() => {}
        Ok(end) => return Err(not_json(format!("text after byte {end}"))),
        Err(strict::JsonError::Duplicate { key, .. }) => {
            let key = quote(&key);
            return Err(LoadError::header(KEY_TWICE.about([&key]), "a metadata key occurs twice")
                .expected("every key once", key));
        }
        Err(error) => return Err(not_json(error.shown(text))),
    }
    json_bounds::check(bytes, MEMORY).map_err(|found| {
        LoadError::header(HEADER_ABOVE_LIMIT, "metadata takes too much memory")
            .expected("values that take less memory, and nest less deep", found)
    })?;
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(not_json(json_text(&other))),
        Err(error) => Err(not_json(error.to_string())),
    }
}

/// Reads one entry of the index.
fn entry(front: &mut Front<'_>) -> Result<ImportedTensor> {
    let length = u16::from_le_bytes(front.array()?);
    if length > LONGEST_NAME {
        return Err(LoadError::header(INVALID_FIELD, "a tensor's name too long")
            .expected(format!("at most {LONGEST_NAME} bytes"), length));
    }
    let name = front.take(length.into())?.to_vec();
    let name = String::from_utf8(name).map_err(|error| {
        LoadError::header(HEADER_NOT_UTF8, "a tensor's name is not UTF-8").expected("UTF-8", error)
    })?;
    let [kind, sides] = front.array()?;
    if sides > MOST_SIDES {
        return Err(LoadError::header(INVALID_FIELD, "a tensor has too many dimensions")
            .tensor(&name)
            .expected(format!("at most {MOST_SIDES}"), sides));
    }
    let mut shape = Vec::new();
    for _ in 0..sides {
        shape.push(front.u64()?);
    }
    let (begin, bytes) = (front.u64()?, front.u64()?);
    let (dtype, packing) = match kind {
        0 => (DType::F32, None),
        1 => (DType::F16, None),
        30 => (DType::BF16, None),
        12 => (DType::F32, Some(Packing::Q4K)),
        14 => (DType::F32, Some(Packing::Q6K)),
        3..=9 | 128 | 129 => {
            return Err(LoadError::header(
                APR_TYPE_NOT_SUPPORTED,
                "element type that is not supported",
            )
            .tensor(&name)
            .expected("F32, F16, BF16, Q4_K or Q6_K", format!("type {kind}")));
        }
        other => {
            return Err(LoadError::header(TYPE_NOT_KNOWN, "element type that is not known")
                .tensor(&name)
                .expected("F32, F16, BF16, Q4_K or Q6_K", format!("type {other}")));
        }
    };
    let end = begin.checked_add(bytes).ok_or_else(|| {
        LoadError::header(SIZE_OVERFLOW, "a tensor's place does not fit in 64 bits")
            .tensor(&name)
            .expected("a place below 2^64", begin)
    })?;
    let info = TensorInfo { name, dtype, shape, begin, end };
    let tensor = ImportedTensor { info, import: Import { packing, heads: None }, file: 0 };
    let wanted = layout::stored_bytes(&tensor)?;
    if wanted != bytes {
        return Err(LoadError::header(SIZE_MISMATCH, "size is not what shape and type make")
            .tensor(&tensor.info.name)
            .expected(format!("{wanted} bytes"), format!("{bytes} bytes")));
    }
    Ok(tensor)
}

/// Checks that names ascend, so that none is repeated.
fn ascending(last: Option<&ImportedTensor>, next: &ImportedTensor) -> Result<()> {
    let Some(last) = last else { return Ok(()) };
    let (last, name) = (&last.info.name, &next.info.name);
    if last < name {
        return Ok(());
    }
    let (cause, message) = match last == name {
        true => (KEY_TWICE.about([&quote(name)]), "two tensors of one name"),
        false => (INVALID_LAYOUT.into(), "names are not in ascending order"),
    };
    let wanted = format!("a name after {}", quote(last));
    Err(LoadError::header(cause, message).tensor(name).expected(wanted, quote(name)))
}

/// Converts the metadata to a `config.json`.
fn document(metadata: &Map<String, Value>, has: &dyn Fn(&str) -> bool) -> Result<Value> {
    let text = |field: &str| metadata.get(field).and_then(Value::as_str).filter(|s| !s.is_empty());
    // The published name of the architecture, or the format's own name of the family.
    let known = crate::loader::format::architecture::KNOWN;
    let names = [text("hf_model_type"), text("model_type"), text("architecture")];
    let model_type =
        names.into_iter().flatten().find(|name| known.iter().any(|(known, _)| known == name));
    let model_type = model_type.ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
        let found: Vec<String> = names.into_iter().flatten().map(quote).collect();
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        LoadError::header(APR_ARCHITECTURE, "architecture not supported").expected(
            format!("hf_model_type, model_type or architecture: one of {}", known.join(", ")),
            found,
        )
    })?;
    match metadata.get("rope_type").filter(|kind| !kind.is_null()) {
        None => {}
        Some(kind) if *kind == json!(2) => {}
        Some(kind) => {
            let found = json_text(kind);
            return Err(not_supported(
                &format!("rope_type {found}"),
                "rope_type 2, or none",
                &found,
            ));
        }
    }
    for part in ["num_experts", "num_experts_per_tok", "moe_intermediate_size", "sharding"] {
        if let Some(found) = metadata.get(part).filter(|found| !found.is_null()) {
            return Err(not_supported(part, "none", json_text(found)));
        }
    }
    let mut fields = Map::new();
    for (own, published) in FIELDS {
        if let Some(value) = metadata.get(own).filter(|value| !value.is_null()) {
            fields.insert(published.to_owned(), value.clone());
        }
    }
    for field in FURTHER {
        let Some(value) = metadata.get(field).filter(|value| !value.is_null()) else { continue };
        if fields.get(field).is_some_and(|other| other != value) {
            return Err(damaged_setting(format!("{field} is given twice, and differs"))
                .expected(json_text(&fields[field]), json_text(value)));
        }
        fields.insert(field.to_owned(), value.clone());
    }
    fields.insert("model_type".to_owned(), json!(model_type));
    let mut unless_told = |field: &str, value: bool| {
        fields.entry(field).or_insert(json!(value));
    };
    unless_told("tie_word_embeddings", !has("lm_head.weight"));
    unless_told("attention_bias", has("layers.0.self_attn.q_proj.bias"));
    unless_told("mlp_bias", has("layers.0.mlp.gate_proj.bias"));
    Ok(Value::Object(fields))
}

/// Returns the complete `tokenizer.json` in the metadata.
fn tokenizer(metadata: &Map<String, Value>) -> Result<Option<Vec<u8>>> {
    match metadata.get("tokenizer.huggingface.json") {
        Some(Value::String(whole)) => Ok(Some(whole.as_bytes().to_vec())),
        None if !metadata.contains_key("tokenizer.vocabulary") => Ok(None),
        found => Err(LoadError::header(APR_TOKENIZER, "no complete tokenizer in the metadata")
            .expected(
                "tokenizer.huggingface.json: a text",
                found.map_or("only a vocabulary", |_| "no text"),
            )),
    }
}

/// Converts the metadata to a `tokenizer_config.json`.
fn template(metadata: &Map<String, Value>) -> Option<Value> {
    let template = metadata.get("chat_template").filter(|template| !template.is_null())?;
    let special = metadata.get("special_tokens").filter(|special| special.is_object());
    let mut document = special.cloned().unwrap_or_else(|| json!({}));
    document["chat_template"] = template.clone();
    Some(document)
}

#[cfg(test)]
mod tests;
