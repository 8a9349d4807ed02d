//! A described model's configuration in the spelling that the oracle and the writers of other formats
//! read. Every fact is in it, none is left to a default.

use serde_json::{Value, json};

use super::facts::Described;
use crate::contract::request::Format;
use crate::harness::model::{Architecture, config};

impl Described {
    /// The configuration that the oracle reads.
    pub fn config(&self) -> Value {
        let recipe = &self.recipe;
        let mut all = config::of(recipe);
        let activation = match recipe.architecture {
            Architecture::Gpt2 => "activation_function",
            _ => "hidden_act",
        };
        all[activation] = json!(self.activation);
        all["tie_word_embeddings"] = json!(!recipe.decoder.untied);
        all["eos_token_id"] = json!(self.ends);
        if let Some(rotary) = &self.rotary {
            all["head_dim"] = json!(recipe.sizes.head_size());
            all["rope_parameters"] = rotary.json();
        }
        if !self.causal && recipe.architecture.is_decoder() {
            all["is_causal"] = json!(false);
        }
        let window = self.windows.iter().flatten().min();
        if recipe.architecture.groups_queries() {
            all["sliding_window"] = json!(window);
        }
        if matches!(recipe.architecture, Architecture::Qwen2 | Architecture::Qwen3) {
            all["use_sliding_window"] = json!(window.is_some());
        }
        let of_window = |window: &Option<usize>| match window {
            Some(_) => "sliding_attention".to_owned(),
            None => "full_attention".to_owned(),
        };
        let types = self.layer_types.clone();
        let types =
            types.or((window.is_some()).then(|| self.windows.iter().map(of_window).collect()));
        if let Some(types) = types {
            all["layer_types"] = json!(types);
        }
        all
    }

    /// Whether a file of another format can state all of this.
    ///
    /// # Errors
    /// What it cannot state.
    pub fn states(&self, format: Format) -> Result<(), String> {
        let cannot = |what: &str| {
            let format = if format == Format::Gguf { "GGUF" } else { "APR" };
            Err(format!("the judge writes no {format} of a model with {what}"))
        };
        let mixed = !self.windows.is_empty() && self.windows.contains(&None);
        match format {
            Format::Safetensors => Ok(()),
            _ if !self.recipe.architecture.groups_queries() => {
                cannot(&format!("model_type {}", self.recipe.architecture.model_type()))
            }
            _ if !self.causal => cannot("attention to later tokens"),
            _ if mixed => cannot("a window in some layers"),
            _ if self.rotary.as_ref().is_some_and(|rotary| !rotary.alike()) => {
                cannot("positions by type of layer")
            }
            Format::Apr => Ok(()),
            Format::Gguf if self.rotary.as_ref().is_some_and(|rotary| !rotary.plain()) => {
                cannot("scaled positions")
            }
            Format::Gguf if !["silu", "swish"].contains(&self.activation.as_str()) => {
                cannot(&format!("the activation {}", self.activation))
            }
            Format::Gguf if self.recipe.architecture == Architecture::Phi3 => {
                cannot("fused weights")
            }
            Format::Gguf if self.biases != (false, false) => cannot("optional biases"),
            Format::Gguf
                if !self.windows.is_empty()
                    && self.recipe.architecture != Architecture::Mistral =>
            {
                cannot("a window")
            }
            Format::Gguf
                if self.windows.is_empty() && self.recipe.architecture == Architecture::Mistral =>
            {
                // Without a window, a Mistral is a Llama by another name; the writer asks for one.
                cannot("model_type mistral and no window")
            }
            Format::Gguf => Ok(()),
        }
    }
}
