//! A configuration as it was read, by the names of `config.json`.

use serde_json::{Value, json};

use crate::loader::infer::config::{Architecture, Config, Rotary, Scaling};
use crate::loader::infer::ops::Activation;

/// The fields in a fixed order; one that the architecture does not have is left out.
pub fn of(config: &Config) -> Vec<(&'static str, Value)> {
    let mut fields = Fields::default();
    fields.put("model_type", config.architecture.name());
    if config.architecture == Architecture::Projection {
        fields.put("input_size", config.hidden);
        fields.put("output_size", config.output);
        return fields.0;
    }
    fields.put("vocab_size", config.vocabulary);
    fields.put("hidden_size", config.hidden);
    fields.put("num_hidden_layers", config.layers);
    fields.put("num_attention_heads", config.heads);
    fields.put("num_key_value_heads", config.key_heads);
    fields.put("head_dim", config.head_size);
    fields.put("intermediate_size", config.inner);
    fields.put("hidden_act", activation(config.activation));
    fields.put("max_position_embeddings", config.longest);
    fields.put_if(config.types > 0, "type_vocab_size", config.types);
    fields.put("norm_eps", plain(config.epsilon));
    if let Some(Rotary { base, scaling }) = config.rotary {
        fields.put("rope_theta", plain(base));
        if let Some(scaling) = scaling {
            let scaling = match scaling {
                Scaling::Linear(factor) => json!({"rope_type": "linear", "factor": plain(factor)}),
                Scaling::Llama3(scaling) => json!({
                    "rope_type": "llama3",
                    "factor": plain(scaling.factor),
                    "low_freq_factor": plain(scaling.low),
                    "high_freq_factor": plain(scaling.high),
                    "original_max_position_embeddings": plain(scaling.original),
                }),
            };
            fields.put("rope_scaling", scaling);
        }
    }
    fields.put_if(config.window.is_some(), "sliding_window", config.window);
    let decodes = config.architecture.is_decoder();
    fields.put_if(decodes, "attention_bias", config.attention_bias);
    fields.put_if(decodes, "mlp_bias", config.forward_bias);
    fields.put("tie_word_embeddings", config.tied);
    fields.put("pad_token_id", config.padding);
    fields.put_if(!config.ends.is_empty(), "eos_token_id", config.ends.clone());
    fields.0
}

#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((name, value.into()));
    }

    fn put_if(&mut self, there: bool, name: &'static str, value: impl Into<Value>) {
        if there {
            self.put(name, value);
        }
    }
}

/// A number in the digits that F32 has: 1e-6, not 9.999999974752427e-7.
fn plain(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_pytorch_tanh",
        Activation::Silu => "silu",
        Activation::Relu => "relu",
    }
}
