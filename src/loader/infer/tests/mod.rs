//! Tests tiny hand-made models: which faults are refused, and whether results agree with F64.

mod completeness;
mod config;
mod forward;
mod input;
mod nulls;
mod residence;
mod settings;
mod silence;
mod spelling;

use std::fs;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::contract::inference::{
    ATTENTION_MASK, Batch, Compute, Head, INPUT_IDS, Inference, Pooling, TOKEN_TYPE_IDS, Traced,
    TracedForward, VECTORS,
};
use crate::contract::request::Load;
use crate::contract::{DType, Device};
use crate::loader::error::Result;
use crate::loader::format::Import;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::format::tensor::PlacedTensor;
use crate::loader::memory::Memory;

use super::RunnableModel;
use super::body::Parts;
use super::config::Config;
use super::settings::Settings;
use super::turn_table::TurnTable;
use crate::loader::verbs::engine::Engine;

/// Values as the files have them.
pub fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Writes a batch as the file of a request.
pub fn save_batch(batch: &Batch, path: &Path) {
    let whole = |numbers: &[i64]| numbers.iter().flat_map(|one| one.to_le_bytes()).collect();
    let (rows, columns, tensors): (_, _, Vec<(&str, Dtype, Vec<u8>)>) = match batch {
        Batch::Vectors { rows, columns, values } => {
            (rows, columns, vec![(VECTORS, Dtype::F32, le_bytes(values))])
        }
        Batch::Tokens { rows, columns, ids, mask, types } => {
            let all = [(INPUT_IDS, ids), (ATTENTION_MASK, mask), (TOKEN_TYPE_IDS, types)];
            let all = all.into_iter().filter(|(_, numbers)| !numbers.is_empty());
            let all = all.map(|(name, numbers)| (name, Dtype::I64, whole(numbers)));
            (rows, columns, all.collect())
        }
    };
    let views = tensors.iter().map(|(name, dtype, bytes)| {
        let view = TensorView::new(*dtype, vec![*rows, *columns], bytes);
        (*name, view.expect("a whole tensor"))
    });
    let bytes = safetensors::serialize(views, None).expect("a safetensors file");
    fs::write(path, bytes).expect("written");
}

/// A model whose weights are all known.
#[derive(Clone)]
pub struct Tiny {
    pub config: Value,
    pub head: Head,
    pub tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl Tiny {
    fn new(config: Value, pooling: Pooling) -> Tiny {
        Tiny { config, head: Head::pooled(pooling), tensors: Vec::new() }
    }

    /// Adds a tensor of pseudo-random numbers: the upper bits of a linear congruential generator.
    pub fn add(&mut self, name: impl Into<String>, shape: &[usize]) {
        let name = name.into();
        let mut seed = self.tensors.len() as u64 * 7919 + 17;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        // Weights of real norms are near one.
        let norm = name.contains("orm") || name.starts_with("emb_ln");
        let shift = if norm && name.ends_with("weight") { 1.0 } else { 0.0 };
        let values = (0..shape.iter().product()).map(|_| next() + shift).collect();
        self.tensors.push((name, shape.to_vec(), values));
    }

    pub fn pair(&mut self, name: &str, outputs: usize, inputs: usize) {
        self.add(format!("{name}.weight"), &[outputs, inputs]);
        self.add(format!("{name}.bias"), &[outputs]);
    }

    pub fn norm(&mut self, name: &str, width: usize) {
        self.add(format!("{name}.weight"), &[width]);
        self.add(format!("{name}.bias"), &[width]);
    }

    pub fn values(&mut self, name: &str) -> &mut Vec<f32> {
        let found = self.tensors.iter_mut().find(|(known, ..)| known == name);
        &mut found.unwrap_or_else(|| panic!("no tensor {name}")).2
    }

    /// The same model without this tensor.
    pub fn without(mut self, name: &str) -> Tiny {
        let before = self.tensors.len();
        self.tensors.retain(|(known, ..)| known != name);
        assert_eq!(self.tensors.len() + 1, before, "no tensor {name}");
        self
    }

    /// The tensors as a load places them, and their bytes.
    pub fn placed(&self) -> (Vec<PlacedTensor>, Vec<u8>) {
        let (mut placed, mut bytes) = (Vec::new(), Vec::new());
        for (name, shape, values) in &self.tensors {
            let offset = bytes.len() as u64;
            bytes.extend(le_bytes(values));
            let end = bytes.len() as u64;
            let shape = shape.iter().map(|side| *side as u64).collect();
            let info =
                TensorInfo { name: name.clone(), dtype: DType::F32, shape, begin: offset, end };
            let (dtype, bytes) = (DType::F32, end - offset);
            placed.push(PlacedTensor { info, dtype, offset, bytes, import: Import::default() });
        }
        (placed, bytes)
    }

    /// Two sentences of four tokens. The second has two tokens of padding. With segment ids if the
    /// model has them.
    pub fn batch(&self) -> Batch {
        let types = vec![0, 0, 1, 1, 0, 1, 0, 0];
        let typed = self.config["type_vocab_size"].is_u64();
        Batch::Tokens {
            rows: 2,
            columns: 4,
            ids: vec![3, 7, 2, 9, 5, 1, 0, 0],
            mask: vec![1, 1, 1, 1, 1, 1, 0, 0],
            types: if typed { types } else { Vec::new() },
        }
    }

    /// Writes weights and configuration to a folder. Returns their load into host memory.
    pub fn save(&self, folder: &Path) -> Load {
        let data: Vec<Vec<u8>> = self.tensors.iter().map(|(.., values)| le_bytes(values)).collect();
        let views = self.tensors.iter().zip(&data).map(|((name, shape, _), bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a whole tensor");
            (name, view)
        });
        let (path, config) = (folder.join("model.safetensors"), folder.join("config.json"));
        let bytes = safetensors::serialize(views, None).expect("a safetensors file");
        fs::write(&path, bytes).expect("written");
        fs::write(&config, self.config.to_string()).expect("written");
        let inference = Inference {
            config: Some(config),
            tokenizer: None,
            template: None,
            generation: None,
            head: self.head.clone(),
            compute: Compute::Exact,
        };
        Load { inference: Some(inference), ..Load::plain(path, Device::Cpu) }
    }

    pub fn runnable(&self) -> Result<RunnableModel> {
        let config = Config::parse(self.config.to_string().as_bytes())?;
        let parts = Parts::find(&config, &self.head, &self.placed().0)?;
        Ok(RunnableModel {
            config,
            head: self.head.clone(),
            compute: Compute::Exact,
            parts,
            tokenizer: None,
            template: None,
            ends: Vec::new(),
            settings: Settings::default(),
            rope_factors: None,
            turns: TurnTable::default(),
        })
    }

    pub fn run(&self, batch: &Batch) -> Result<Traced> {
        self.forward(batch, true)
    }

    /// Runs it, with a trace of its states or without one.
    pub fn forward(&self, batch: &Batch, trace: bool) -> Result<Traced> {
        let (runnable, memory) = (self.runnable()?, Memory::Host(self.placed().1));
        Engine {
            runnable: &runnable,
            memory: &memory,
            runner: None,
            gpus: None,
            decoder: &mut None,
        }
        .forward(batch, trace)
    }
}

/// Two layers, two heads of size four.
pub fn bert() -> Tiny {
    let mut model = Tiny::new(
        json!({
            "model_type": "bert", "vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 12, "hidden_act": "gelu",
            "max_position_embeddings": 7, "type_vocab_size": 2, "layer_norm_eps": 1e-5,
        }),
        Pooling::Mean,
    );
    model.add("embeddings.word_embeddings.weight", &[11, 8]);
    model.add("embeddings.position_embeddings.weight", &[7, 8]);
    model.add("embeddings.token_type_embeddings.weight", &[2, 8]);
    model.norm("embeddings.LayerNorm", 8);
    for n in 0..2 {
        for part in ["self.query", "self.key", "self.value", "output.dense"] {
            model.pair(&format!("encoder.layer.{n}.attention.{part}"), 8, 8);
        }
        model.norm(&format!("encoder.layer.{n}.attention.output.LayerNorm"), 8);
        model.pair(&format!("encoder.layer.{n}.intermediate.dense"), 12, 8);
        model.pair(&format!("encoder.layer.{n}.output.dense"), 8, 12);
        model.norm(&format!("encoder.layer.{n}.output.LayerNorm"), 8);
    }
    model
}

/// Two layers, two heads of size four, one matrix for query, key and value; only the norms have
/// biases.
pub fn nomic() -> Tiny {
    let mut model = Tiny::new(
        json!({
            "model_type": "nomic_bert", "vocab_size": 11, "hidden_size": 8,
            "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
            "hidden_act": "silu", "layer_norm_eps": 1e-5, "type_vocab_size": 2,
            "max_position_embeddings": 32,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
        }),
        Pooling::Mean,
    );
    model.add("embeddings.word_embeddings.weight", &[11, 8]);
    model.add("embeddings.token_type_embeddings.weight", &[2, 8]);
    model.norm("emb_ln", 8);
    for n in 0..2 {
        model.add(format!("encoder.layers.{n}.attn.Wqkv.weight"), &[24, 8]);
        model.add(format!("encoder.layers.{n}.attn.out_proj.weight"), &[8, 8]);
        model.norm(&format!("encoder.layers.{n}.norm1"), 8);
        model.add(format!("encoder.layers.{n}.mlp.fc11.weight"), &[12, 8]);
        model.add(format!("encoder.layers.{n}.mlp.fc12.weight"), &[12, 8]);
        model.add(format!("encoder.layers.{n}.mlp.fc2.weight"), &[8, 12]);
        model.norm(&format!("encoder.layers.{n}.norm2"), 8);
    }
    model
}

/// Two layers, four query heads, two key heads; the head size is not hidden size / heads.
pub fn qwen2() -> Tiny {
    let mut model = Tiny::new(
        json!({
            "model_type": "qwen2", "vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4,
            "intermediate_size": 12, "hidden_act": "silu", "rms_norm_eps": 1e-6,
            "max_position_embeddings": 32, "rope_theta": 100.0, "use_sliding_window": false,
        }),
        Pooling::LastToken,
    );
    model.add("embed_tokens.weight", &[11, 8]);
    for n in 0..2 {
        let at = |part: &str| format!("layers.{n}.{part}");
        model.add(at("input_layernorm.weight"), &[8]);
        model.pair(&at("self_attn.q_proj"), 16, 8);
        model.pair(&at("self_attn.k_proj"), 8, 8);
        model.pair(&at("self_attn.v_proj"), 8, 8);
        model.add(at("self_attn.o_proj.weight"), &[8, 16]);
        model.add(at("post_attention_layernorm.weight"), &[8]);
        model.add(at("mlp.gate_proj.weight"), &[12, 8]);
        model.add(at("mlp.up_proj.weight"), &[12, 8]);
        model.add(at("mlp.down_proj.weight"), &[8, 12]);
    }
    model.add("norm.weight", &[8]);
    model
}

/// The same as a decoder whose head is its word embeddings.
pub fn decoder() -> Tiny {
    let mut model = qwen2();
    model.head = Head::Logits {};
    model.config["tie_word_embeddings"] = json!(true);
    model
}

/// One layer from six values to four.
pub fn projection() -> Tiny {
    let config = json!({"model_type": "projection", "input_size": 6, "output_size": 4});
    let mut model = Tiny::new(config, Pooling::None);
    let head = Head::Embedding {
        pooling: Pooling::None,
        projection: Some("linear".into()),
        normalize: false,
    };
    model.head = head;
    model.pair("linear", 4, 6);
    model
}
