//! Writes GGUF with candle, and what candle cannot write by the format's description.

use std::io::Cursor;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor as Array};
use serde_json::Value as Json;

use super::beside::Beside;
use super::file::{self, Entry};
use super::form::GgufForm;
use super::golden::Blocks;
use super::in_form;
use super::written::{Quantised, Written, ends, size};
use crate::contract::DType;
use crate::harness::model::{Model, Tensor, fill};

/// Parts of tensor names: as in published checkpoints, and as llama.cpp spells them.
const NAMES: [(&str, &str); 11] = [
    (".input_layernorm.", ".attn_norm."),
    (".post_attention_layernorm.", ".ffn_norm."),
    (".self_attn.q_proj.", ".attn_q."),
    (".self_attn.k_proj.", ".attn_k."),
    (".self_attn.v_proj.", ".attn_v."),
    (".self_attn.o_proj.", ".attn_output."),
    (".self_attn.q_norm.", ".attn_q_norm."),
    (".self_attn.k_norm.", ".attn_k_norm."),
    (".mlp.gate_proj.", ".ffn_gate."),
    (".mlp.up_proj.", ".ffn_up."),
    (".mlp.down_proj.", ".ffn_down."),
];

/// Writes a model.
///
/// # Errors
/// If this code cannot express the architecture or its position scaling in GGUF; candle's error.
pub fn write(
    model: &Model,
    quantised: Option<Quantised>,
    form: Option<&GgufForm>,
    beside: &Beside,
) -> Result<Written, String> {
    let config = &model.config;
    let family = match config["model_type"].as_str() {
        // llama.cpp uses the architecture `llama` for Mistral.
        Some("llama" | "mistral") => "llama",
        Some("qwen2") => "qwen2",
        Some("qwen3") => "qwen3",
        other => {
            let other = other.unwrap_or("none");
            return Err(format!("models of model_type {other} cannot be written as GGUF here"));
        }
    };
    let factors = form.is_some_and(|form| form.rope_factors);
    let kind = &config["rope_parameters"]["rope_type"];
    if (kind != "default" && kind != "linear") != factors {
        return Err("scaled rotary positions cannot be written as GGUF here".to_owned());
    }
    let mut held = model.clone();
    let (mut all, mut entries) = (Vec::new(), Vec::new());
    for tensor in &mut held.tensors {
        let heads = match tensor.name.as_str() {
            name if family != "llama" => (name, None),
            name if name.contains(".q_proj.") => (name, Some(size(config, "num_attention_heads")?)),
            name if name.contains(".k_proj.") => (name, Some(size(config, "num_key_value_heads")?)),
            name => (name, None),
        };
        let name = own_name(heads.0)?;
        if let Some(blocks) = form.and_then(|form| form.blocks.as_ref())
            && tensor.shape.len() == 2
        {
            let blocks = Blocks::of(blocks)?;
            let (bytes, values) = blocks.fill(tensor.shape.iter().product(), entries.len())?;
            let values = match heads.1 {
                None => values,
                Some(heads) => by_rows(&values, tensor.shape[0], heads, true),
            };
            tensor.dtype = DType::F32;
            tensor.bytes = fill::encode(&values, DType::F32);
            entries.push(Entry { name, shape: tensor.shape.clone(), kind: blocks.id, bytes });
            continue;
        }
        let stored = stored(tensor, heads.1, quantised).map_err(|error| error.to_string())?;
        let as_it_was = match stored.dtype() {
            GgmlDType::F16 | GgmlDType::BF16 => true,
            kind => kind == GgmlDType::F32 && tensor.dtype == DType::F32,
        };
        if !as_it_was {
            let values = stored.dequantize(&Device::Cpu).and_then(|all| all.flatten_all());
            let values = values.and_then(|all| all.to_vec1::<f32>());
            let values = values.map_err(|error| error.to_string())?;
            let values = match heads.1 {
                None => values,
                Some(heads) => by_rows(&values, tensor.shape[0], heads, true),
            };
            tensor.dtype = DType::F32;
            tensor.bytes = fill::encode(&values, DType::F32);
        }
        if form.is_some() {
            let (kind, shape) = (in_form::id(stored.dtype())?, tensor.shape.clone());
            let bytes = stored.data().map_err(|error| error.to_string())?.to_vec();
            entries.push(Entry { name, shape, kind, bytes });
            continue;
        }
        all.push((name, stored));
    }
    let mut keys = keys(config, family, beside)?;
    if let Some(form) = form {
        if form.rope_factors {
            entries.push(in_form::rope_factors(config)?);
        }
        in_form::change(&mut keys, config, family, form)?;
        let mut files = file::write(&keys, &entries, form)?;
        let bytes = files.remove(0);
        return Ok(Written { bytes, others: files, held });
    }
    let keys: Vec<(&str, &Value)> = keys.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> =
        all.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &keys, &tensors).map_err(|error| error.to_string())?;
    let mut bytes = file.into_inner();
    // candle writes version 2. A little-endian file of version 3 differs only in this number.
    bytes[4] = 3;
    Ok(Written { bytes, others: Vec::new(), held })
}

fn own_name(published: &str) -> Result<String, String> {
    let whole = match published {
        "model.embed_tokens.weight" => Some("token_embd.weight"),
        "model.norm.weight" => Some("output_norm.weight"),
        "lm_head.weight" => Some("output.weight"),
        _ => None,
    };
    if let Some(name) = whole {
        return Ok(name.to_owned());
    }
    let part = NAMES.iter().find(|(part, _)| published.contains(part));
    match (published.strip_prefix("model.layers."), part) {
        (Some(rest), Some((theirs, own))) => Ok(format!("blk.{}", rest.replace(theirs, own))),
        _ => Err(format!("tensor {published} has no name in GGUF")),
    }
}

/// A tensor as the file stores it: rows in llama.cpp's order, matrices quantised if asked for.
fn stored(
    tensor: &Tensor,
    heads: Option<u64>,
    quantised: Option<Quantised>,
) -> candle_core::Result<QTensor> {
    let mut values = tensor.values();
    if let Some(heads) = heads {
        values = by_rows(&values, tensor.shape[0], heads, false);
    }
    let kind = match (quantised, tensor.shape.len(), tensor.dtype) {
        (Some(Quantised::Q4_0), 2, _) => GgmlDType::Q4_0,
        (Some(Quantised::Q4_1), 2, _) => GgmlDType::Q4_1,
        (Some(Quantised::Q5_0), 2, _) => GgmlDType::Q5_0,
        (Some(Quantised::Q5_1), 2, _) => GgmlDType::Q5_1,
        (Some(Quantised::Q8_0), 2, _) => GgmlDType::Q8_0,
        (Some(Quantised::Q2K), 2, _) => GgmlDType::Q2K,
        (Some(Quantised::Q3K), 2, _) => GgmlDType::Q3K,
        (Some(Quantised::Q4K), 2, _) => GgmlDType::Q4K,
        (Some(Quantised::Q5K), 2, _) => GgmlDType::Q5K,
        (Some(Quantised::Q6K), 2, _) => GgmlDType::Q6K,
        // llama.cpp requires F32 for tensors that are not matrices.
        (None, 2, DType::F16) => GgmlDType::F16,
        (None, 2, DType::BF16) => GgmlDType::BF16,
        _ => GgmlDType::F32,
    };
    QTensor::quantize(&Array::from_vec(values, tensor.shape.clone(), &Device::Cpu)?, kind)
}

/// Reorders the rows of each head from (j, j + size/2) pairs to adjacent pairs, as llama.cpp's
/// converter does; `back` reverses it.
fn by_rows(values: &[f32], rows: usize, heads: u64, back: bool) -> Vec<f32> {
    let (width, size) = (values.len() / rows, rows / heads as usize);
    let mut turned = vec![0.0; values.len()];
    for head in 0..heads as usize {
        for pair in 0..size / 2 {
            for half in 0..2 {
                let (halves, pairs) = (half * (size / 2) + pair, 2 * pair + half);
                let (halves, pairs) = (head * size + halves, head * size + pairs);
                let (from, to) = if back { (pairs, halves) } else { (halves, pairs) };
                turned[to * width..][..width].copy_from_slice(&values[from * width..][..width]);
            }
        }
    }
    turned
}

fn keys(config: &Json, family: &str, beside: &Beside) -> Result<Vec<(String, Value)>, String> {
    let whole = |field: &str| size(config, field).map(|size| Value::U32(size as u32));
    let number = |value: &Json| Value::F32(value.as_f64().unwrap_or(f64::NAN) as f32);
    let (hidden, heads) = (size(config, "hidden_size")?, size(config, "num_attention_heads")?);
    let head = Value::U32(size(config, "head_dim").unwrap_or(hidden / heads) as u32);
    let mut all = vec![("general.architecture".to_owned(), Value::String(family.to_owned()))];
    let mut put = |key: &str, value: Value| all.push((format!("{family}.{key}"), value));
    put("block_count", whole("num_hidden_layers")?);
    put("context_length", whole("max_position_embeddings")?);
    put("embedding_length", whole("hidden_size")?);
    put("feed_forward_length", whole("intermediate_size")?);
    put("attention.head_count", whole("num_attention_heads")?);
    put("attention.head_count_kv", whole("num_key_value_heads")?);
    put("attention.key_length", head.clone());
    put("attention.value_length", head.clone());
    put("attention.layer_norm_rms_epsilon", number(&config["rms_norm_eps"]));
    put("rope.dimension_count", head);
    put("rope.freq_base", number(&config["rope_parameters"]["rope_theta"]));
    if config["rope_parameters"]["rope_type"] == "linear" {
        put("rope.scaling.type", Value::String("linear".to_owned()));
        put("rope.scaling.factor", number(&config["rope_parameters"]["factor"]));
    }
    put("vocab_size", whole("vocab_size")?);
    if config["model_type"] == "mistral" {
        put("attention.sliding_window", whole("sliding_window")?);
    }
    let mut put = |key: &str, value: Value| all.push((format!("tokenizer.{key}"), value));
    for (name, id) in ["eos", "eot", "eom"].iter().zip(ends(config)) {
        put(&format!("ggml.{name}_token_id"), Value::U32(id as u32));
    }
    if let Some(template) = beside.template.as_ref().and_then(|all| all["chat_template"].as_str()) {
        put("chat_template", Value::String(template.to_owned()));
    }
    match (&beside.tokenizer, beside.cut) {
        (None, _) => put("ggml.model", Value::String("no_vocab".to_owned())),
        (Some(whole), None) => {
            put("ggml.model", Value::String("no_vocab".to_owned()));
            put("huggingface.json", Value::String(whole.to_string()));
        }
        (Some(whole), Some(cut)) => {
            put("ggml.model", Value::String("gpt2".to_owned()));
            put("ggml.pre", Value::String(cut.name().to_owned()));
            lists(whole, &mut put)?;
        }
    }
    Ok(all)
}

/// Writes the tokens in the order of their ids, their types, and the merges.
fn lists(tokenizer: &Json, put: &mut dyn FnMut(&str, Value)) -> Result<(), String> {
    let model = &tokenizer["model"];
    let vocabulary = model["vocab"].as_object().ok_or("the tokenizer has no vocabulary")?;
    let mut tokens: Vec<(u64, &String)> =
        vocabulary.iter().map(|(token, id)| (id.as_u64().unwrap_or(u64::MAX), token)).collect();
    tokens.sort();
    let special: Vec<u64> = tokenizer["added_tokens"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(|token| token["id"].as_u64())
        .collect();
    let text = |text: &str| Value::String(text.to_owned());
    put("ggml.tokens", Value::Array(tokens.iter().map(|(_, token)| text(token)).collect()));
    let kind = |id: &u64| Value::I32(if special.contains(id) { 3 } else { 1 });
    put("ggml.token_type", Value::Array(tokens.iter().map(|(id, _)| kind(id)).collect()));
    let merges = model["merges"].as_array().ok_or("the tokenizer has no merges")?;
    let merge = |merge: &Json| match merge {
        Json::String(pair) => text(pair),
        pair => text(&format!(
            "{} {}",
            pair[0].as_str().unwrap_or_default(),
            pair[1].as_str().unwrap_or_default()
        )),
    };
    put("ggml.merges", Value::Array(merges.iter().map(merge).collect()));
    Ok(())
}
