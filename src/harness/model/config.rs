//! Makes `config.json` of a recipe's model, in the form that transformers writes.

use serde_json::{Value, json};

use super::recipe::{Architecture, HeadKind, Recipe};

/// The configuration of a recipe's model.
pub fn of(recipe: &Recipe) -> Value {
    let sizes = &recipe.sizes;
    let name = match (recipe.architecture, recipe.output) {
        (Architecture::Bert, kind) if kind.is_splade() => "BertForMaskedLM",
        (Architecture::Bert, _) => "BertModel",
        (Architecture::Roberta, _) => "RobertaModel",
        (Architecture::NomicBert, _) => "NomicBertModel",
        (Architecture::Qwen2, HeadKind::Logits) => "Qwen2ForCausalLM",
        (Architecture::Qwen2, _) => "Qwen2Model",
        (Architecture::Qwen3, _) => "Qwen3ForCausalLM",
        (Architecture::Llama, _) => "LlamaForCausalLM",
        (Architecture::Mistral, _) => "MistralForCausalLM",
        (Architecture::Phi3, _) => "Phi3ForCausalLM",
        (Architecture::Gpt2, _) => "GPT2LMHeadModel",
        (Architecture::Projection, _) => "LinearProjection",
    };
    let mut config = json!({
        "architectures": [name],
        "model_type": recipe.architecture.model_type(),
    });
    let more = match recipe.architecture {
        Architecture::Projection => json!({
            "input_size": sizes.hidden,
            "output_size": sizes.dimension,
        }),
        Architecture::Gpt2 => json!({
            "vocab_size": sizes.vocabulary,
            "n_embd": sizes.hidden,
            "n_layer": sizes.layers,
            "n_head": sizes.heads,
            "n_inner": sizes.inner,
            "n_positions": sizes.positions,
            "pad_token_id": sizes.padding,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": sizes.epsilon,
            "tie_word_embeddings": !recipe.decoder.untied,
        }),
        architecture => {
            let mut body = json!({
                "vocab_size": sizes.vocabulary,
                "hidden_size": sizes.hidden,
                "num_hidden_layers": sizes.layers,
                "num_attention_heads": sizes.heads,
                "intermediate_size": sizes.inner,
                "max_position_embeddings": sizes.positions,
                "pad_token_id": sizes.padding,
            });
            let own = match architecture {
                Architecture::Qwen2 => json!({
                    "hidden_act": "silu",
                    "num_key_value_heads": sizes.key_heads(),
                    "head_dim": sizes.head_size(),
                    "rms_norm_eps": sizes.epsilon,
                    "rope_parameters": {"rope_type": "default", "rope_theta": sizes.rotary_base},
                    "use_sliding_window": false,
                    "tie_word_embeddings": !recipe.decoder.untied,
                }),
                Architecture::Qwen3
                | Architecture::Llama
                | Architecture::Mistral
                | Architecture::Phi3 => decoder(recipe),
                Architecture::NomicBert => json!({
                    "hidden_act": "silu",
                    "type_vocab_size": sizes.types,
                    "layer_norm_eps": sizes.epsilon,
                    "rope_parameters": {"rope_type": "default", "rope_theta": sizes.rotary_base},
                }),
                _ => json!({
                    "hidden_act": "gelu",
                    "type_vocab_size": sizes.types,
                    "layer_norm_eps": sizes.epsilon,
                    "tie_word_embeddings": true,
                }),
            };
            join(&mut body, own);
            body
        }
    };
    join(&mut config, more);
    config
}

/// Further fields of Llama, Qwen3, Mistral and Phi-3.
fn decoder(recipe: &Recipe) -> Value {
    let (sizes, own) = (&recipe.sizes, &recipe.decoder);
    let mut rotary = json!({"rope_type": "default", "rope_theta": sizes.rotary_base});
    if let Some(scaling) = own.scaling {
        join(&mut rotary, json!(scaling));
        join(&mut rotary, json!({"rope_type": "llama3"}));
    }
    let mut all = json!({
        "hidden_act": "silu",
        "num_key_value_heads": sizes.key_heads(),
        "rms_norm_eps": sizes.epsilon,
        "rope_parameters": rotary,
        "tie_word_embeddings": !own.untied,
    });
    let more = match recipe.architecture {
        Architecture::Llama => json!({
            "head_dim": sizes.head_size(),
            "attention_bias": own.biased,
            "mlp_bias": own.biased,
        }),
        Architecture::Qwen3 => json!({
            "head_dim": sizes.head_size(),
            "attention_bias": own.biased,
            "use_sliding_window": false,
        }),
        Architecture::Mistral => json!({
            "head_dim": sizes.head_size(),
            "sliding_window": own.window,
        }),
        _ => json!({"sliding_window": own.window}),
    };
    join(&mut all, more);
    all
}

fn join(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
