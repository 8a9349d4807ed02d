//! Mutants that read a flag or a field of `config.json` in the wrong way where it is absent, contradicted
//! by the weights, or written in another form.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use serde_json::{Map, Value, json};

use crate::contract::DType;
use crate::contract::request::{DtypePolicy, Format};
use crate::loader::LoadDecisions;
use crate::loader::decisions::Honest;
use crate::loader::error::Result;
use crate::loader::format::safetensors::TensorInfo;
use crate::loader::infer::ops::{Activation, Weight};
use crate::loader::infer::{RunnableModel, Search};
use crate::mutants::inference::{Found, Misbuilt};
use crate::mutants::mutant::{Mutant, reference};
use crate::mutants::spellings::reread;

/// The mutants of this module.
pub(super) const ALL: &[Mutant] = &[
    Mutant {
        name: "tie-absent-as-tied",
        lie: "takes a model for tied where tie_word_embeddings is absent, in every family",
        seen_in: "loaders that were tried with GPT-2 and Gemma",
        needs_gpu: false,
        make: || reference(Found(|search| absent(search, "tie_word_embeddings", json!(true)))),
    },
    Mutant {
        name: "tie-absent-as-untied",
        lie: "takes a model for untied where tie_word_embeddings is absent, in every family",
        seen_in: "loaders that were tried with Llama",
        needs_gpu: false,
        make: || reference(Found(|search| absent(search, "tie_word_embeddings", json!(false)))),
    },
    Mutant {
        name: "attention-bias-ignored",
        lie: "takes attention_bias for false, and leaves the biases that the file has unused",
        seen_in: "ports of the first Llama",
        needs_gpu: false,
        make: || reference(Found(|search| set(search, "attention_bias", json!(false)))),
    },
    Mutant {
        name: "mlp-bias-ignored",
        lie: "takes mlp_bias for false, and leaves the biases that the file has unused",
        seen_in: "ports of the first Llama",
        needs_gpu: false,
        make: || reference(Found(|search| set(search, "mlp_bias", json!(false)))),
    },
    Mutant {
        name: "stray-biases-added",
        lie: "adds a bias that the file has to the attention output, also where attention_bias is false",
        seen_in: "loaders that decide by the names in the file",
        needs_gpu: false,
        make: || reference(Found(stray_biases)),
    },
    Mutant {
        name: "old-epsilon-names-missed",
        lie: "knows rms_norm_eps and layer_norm_eps, and takes 1e-5 where a family has another name",
        seen_in: "loaders that read one list of names for all families",
        needs_gpu: false,
        make: || reference(Found(epsilon_names)),
    },
    Mutant {
        name: "gelu-forms-merged",
        lie: "computes one GELU, whichever of its forms the configuration names",
        seen_in: "runtimes with one kernel for GELU",
        needs_gpu: false,
        make: || reference(Misbuilt(one_gelu)),
    },
    Mutant {
        name: "old-silu-name-missed",
        lie: "takes swish for GELU",
        seen_in: "tables of activations with a default",
        needs_gpu: false,
        make: || {
            reference(Found(|search| {
                reread(search, |fields| {
                    if fields.get("hidden_act") == Some(&json!("swish")) {
                        fields.insert("hidden_act".to_owned(), json!("gelu"));
                    }
                })
            }))
        },
    },
    Mutant {
        name: "window-flag-ignored",
        lie: "applies a sliding window that is stated, also where use_sliding_window is false",
        seen_in: "loaders that were tried with Mistral",
        needs_gpu: false,
        make: || {
            reference(Found(|search| {
                reread(search, |fields| {
                    if fields.get("sliding_window").is_some_and(|window| !window.is_null()) {
                        fields.insert("use_sliding_window".to_owned(), json!(true));
                        fields.remove("layer_types");
                        fields.insert("max_window_layers".to_owned(), json!(0));
                    }
                })
            }))
        },
    },
    Mutant {
        name: "trained-length-default",
        lie: "takes 8192 for the length of the training, whatever original_max_position_embeddings says",
        seen_in: "ports of Llama 3 with its numbers in the code",
        needs_gpu: false,
        make: || reference(Found(trained_length)),
    },
    Mutant {
        name: "padding-absent-as-zero",
        lie: "takes 0 for the padding token where pad_token_id is absent, also for RoBERTa",
        seen_in: "parsers whose numbers begin with zero",
        needs_gpu: false,
        make: || reference(Found(|search| absent(search, "pad_token_id", json!(0)))),
    },
    Mutant {
        name: "layers-of-the-file",
        lie: "runs all layers that the file has, however many the configuration states",
        seen_in: "loaders that count names",
        needs_gpu: false,
        make: || reference(Found(counted_layers)),
    },
    Mutant {
        name: "type-of-the-config",
        lie: "holds the weights in the type that config.json names, not in that of the file",
        seen_in: "transformers with dtype auto",
        needs_gpu: false,
        make: || reference(TypeOfConfig::new(&["dtype", "torch_dtype"])),
    },
    Mutant {
        name: "old-type-of-the-config",
        lie: "holds the weights in the type that torch_dtype names, not in that of the file",
        seen_in: "transformers before it renamed the field",
        needs_gpu: false,
        make: || reference(TypeOfConfig::new(&["torch_dtype"])),
    },
    Mutant {
        name: "config-first-key-wins",
        lie: "reads the first of two values that config.json gives to one key",
        seen_in: "parsers of streams that stop at the key they look for",
        needs_gpu: false,
        make: || reference(Found(|search| by_text(search, first_of_two))),
    },
];

fn absent(search: &Search, field: &str, value: Value) -> Result<RunnableModel> {
    reread(search, |fields| {
        fields.entry(field).or_insert(value);
    })
}

fn set(search: &Search, field: &str, value: Value) -> Result<RunnableModel> {
    reread(search, |fields| {
        if let Some(stated) = fields.get_mut(field) {
            *stated = value;
        }
    })
}

fn stray_biases(search: &Search) -> Result<RunnableModel> {
    let mut model = search.find()?;
    let Some(body) = &mut model.parts.body else { return Ok(model) };
    for (at, layer) in body.layers.iter_mut().enumerate() {
        let name = format!("layers.{at}.self_attn.o_proj.bias");
        let found = search.tensors.iter().find(|tensor| tensor.info.name.ends_with(&name));
        if let Some(bias) = found
            && layer.join.bias.is_none()
        {
            let columns = layer.join.outputs();
            layer.join.bias =
                Some(Weight { offset: bias.offset, dtype: bias.dtype, rows: 1, columns });
        }
    }
    Ok(model)
}

fn epsilon_names(search: &Search) -> Result<RunnableModel> {
    reread(search, |fields| {
        for name in ["layer_norm_epsilon", "norm_eps", "norm_epsilon", "layernorm_epsilon"] {
            if let Some(stated) = fields.get_mut(name) {
                *stated = json!(1e-5);
            }
        }
    })
}

fn one_gelu(model: &mut RunnableModel) {
    if model.config.activation == Activation::GeluTanh {
        model.config.activation = Activation::Gelu;
    }
}

fn trained_length(search: &Search) -> Result<RunnableModel> {
    reread(search, |fields| {
        for name in ["rope_scaling", "rope_parameters"] {
            if let Some(Value::Object(scaling)) = fields.get_mut(name)
                && let Some(length) = scaling.get_mut("original_max_position_embeddings")
            {
                *length = json!(8192);
            }
        }
    })
}

fn counted_layers(search: &Search) -> Result<RunnableModel> {
    let number = |name: &str| {
        let (_, rest) = name.split_once("layers.").or_else(|| name.split_once("layer."))?;
        rest.split('.').next()?.parse::<usize>().ok()
    };
    let names = search.tensors.iter().filter_map(|tensor| number(&tensor.info.name));
    let count = names.max().map(|last| last + 1);
    reread(search, |fields| {
        if let (Some(stated), Some(count)) = (fields.get_mut("num_hidden_layers"), count) {
            *stated = json!(count);
        }
    })
}

/// Finds a model by a configuration that is read from its text in another way.
fn by_text(search: &Search, read: fn(&str) -> Option<Map<String, Value>>) -> Result<RunnableModel> {
    let path = search.inference.config.as_ref();
    let text = path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let Some(all) = read(&text) else { return search.find() };
    reread(search, |fields| *fields = all)
}

/// The members of an object; of two with one key, the first.
fn first_of_two(text: &str) -> Option<Map<String, Value>> {
    struct First(Map<String, Value>);
    impl<'de> serde::Deserialize<'de> for First {
        fn deserialize<D: serde::Deserializer<'de>>(
            from: D,
        ) -> std::result::Result<Self, D::Error> {
            struct Members;
            impl<'de> serde::de::Visitor<'de> for Members {
                type Value = First;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> std::result::Result<First, A::Error> {
                    let mut first = Map::new();
                    while let Some((key, value)) = map.next_entry::<String, Value>()? {
                        first.entry(key).or_insert(value);
                    }
                    Ok(First(first))
                }
            }
            from.deserialize_map(Members)
        }
    }
    serde_json::from_str::<First>(text).ok().map(|first| first.0)
}

/// Holds weights in the type that one of these fields of `config.json` names.
struct TypeOfConfig {
    fields: &'static [&'static str],
    dtype: Mutex<Option<DType>>,
}

impl TypeOfConfig {
    fn new(fields: &'static [&'static str]) -> TypeOfConfig {
        TypeOfConfig { fields, dtype: Mutex::default() }
    }
}

impl LoadDecisions for TypeOfConfig {
    fn format(&self, asked: Format, path: &Path) -> Format {
        let text = std::fs::read(path.with_file_name("config.json")).unwrap_or_default();
        let config: Value = serde_json::from_slice(&text).unwrap_or_default();
        let named = self.fields.iter().find_map(|field| config.get(*field)?.as_str());
        let dtype = match named {
            Some("float32") => Some(DType::F32),
            Some("float16") => Some(DType::F16),
            Some("bfloat16") => Some(DType::BF16),
            _ => None,
        };
        *self.dtype.lock().unwrap_or_else(PoisonError::into_inner) = dtype;
        asked
    }

    fn kept(&self, tensor: &TensorInfo, keep: DtypePolicy) -> DType {
        let named = *self.dtype.lock().unwrap_or_else(PoisonError::into_inner);
        match (named, keep) {
            (Some(named), DtypePolicy::Stored) if tensor.dtype != DType::I64 => named,
            _ => Honest.kept(tensor, keep),
        }
    }

    fn convert<'b>(
        &self,
        tensor: &TensorInfo,
        kept: DType,
        bytes: &'b [u8],
        scratch: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        if kept == tensor.dtype || kept == DType::F32 {
            return Honest.convert(tensor, kept, bytes, scratch);
        }
        let mut wide = Vec::new();
        wide.extend_from_slice(Honest.convert(tensor, DType::F32, bytes, scratch));
        scratch.clear();
        for raw in wide.as_chunks::<4>().0 {
            let value = f32::from_le_bytes(*raw);
            match kept {
                DType::F16 => scratch.extend(f16::from_f32(value).to_le_bytes()),
                _ => scratch.extend(bf16::from_f32(value).to_le_bytes()),
            }
        }
        scratch
    }
}
