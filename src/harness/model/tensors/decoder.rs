//! The tensors of decoders. In a model with a language-model head the body's names have a prefix,
//! as in published checkpoints.

use super::List;
use crate::harness::model::recipe::{Architecture, HeadKind, Recipe};

impl List {
    /// Llama, Mistral, Qwen2, Qwen3 and Phi-3.
    pub(super) fn llama(&mut self, recipe: &Recipe) {
        use Architecture::{Llama, Phi3, Qwen2, Qwen3};
        let (sizes, architecture) = (&recipe.sizes, recipe.architecture);
        let (hidden, inner, size) = (sizes.hidden, sizes.inner, sizes.head_size());
        let (wide, narrow) = (sizes.heads * size, sizes.key_heads() * size);
        let optional = recipe.decoder.biased;
        let three_biased =
            architecture == Qwen2 || optional && matches!(architecture, Llama | Qwen3);
        let joined_biased = three_biased && architecture != Qwen2;
        let forward_biased = optional && architecture == Llama;
        let prefix = if logits(recipe) { "model." } else { "" };
        self.table(&format!("{prefix}embed_tokens.weight"), sizes.vocabulary, hidden);
        for n in 0..sizes.layers {
            let at = |name: &str| format!("{prefix}layers.{n}.{name}");
            self.norm(&at("input_layernorm"), hidden, false);
            if architecture == Phi3 {
                let rows = wide + 2 * narrow;
                self.layer(&at("self_attn.qkv_proj"), rows, hidden, false, 2.0);
            } else {
                self.layer(&at("self_attn.q_proj"), wide, hidden, three_biased, 2.0);
                self.layer(&at("self_attn.k_proj"), narrow, hidden, three_biased, 2.0);
                self.layer(&at("self_attn.v_proj"), narrow, hidden, three_biased, 1.0);
            }
            if architecture == Qwen3 {
                self.norm(&at("self_attn.q_norm"), size, false);
                self.norm(&at("self_attn.k_norm"), size, false);
            }
            self.layer(&at("self_attn.o_proj"), hidden, wide, joined_biased, 0.3);
            self.norm(&at("post_attention_layernorm"), hidden, false);
            if architecture == Phi3 {
                self.layer(&at("mlp.gate_up_proj"), 2 * inner, hidden, false, 1.0);
            } else {
                self.layer(&at("mlp.gate_proj"), inner, hidden, forward_biased, 1.0);
                self.layer(&at("mlp.up_proj"), inner, hidden, forward_biased, 1.0);
            }
            self.layer(&at("mlp.down_proj"), hidden, inner, forward_biased, 0.5);
        }
        match recipe.decoder.wanders {
            true => self.add(&format!("{prefix}norm.weight"), vec![hidden], 0.0, 1.0),
            false => self.norm(&format!("{prefix}norm"), hidden, false),
        }
        self.head(recipe);
    }

    /// GPT-2.
    pub(super) fn gpt2(&mut self, recipe: &Recipe) {
        let sizes = &recipe.sizes;
        let (hidden, inner) = (sizes.hidden, sizes.inner);
        let prefix = if logits(recipe) { "transformer." } else { "" };
        self.table(&format!("{prefix}wte.weight"), sizes.vocabulary, hidden);
        self.table(&format!("{prefix}wpe.weight"), sizes.positions, hidden);
        for n in 0..sizes.layers {
            let at = |name: &str| format!("{prefix}h.{n}.{name}");
            self.norm(&at("ln_1"), hidden, true);
            self.affine(&at("attn.c_attn"), 3 * hidden, hidden, 2.0);
            self.affine(&at("attn.c_proj"), hidden, hidden, 0.3);
            self.norm(&at("ln_2"), hidden, true);
            self.affine(&at("mlp.c_fc"), inner, hidden, 1.0);
            self.affine(&at("mlp.c_proj"), hidden, inner, 0.5);
        }
        self.norm(&format!("{prefix}ln_f"), hidden, true);
        self.head(recipe);
    }

    fn head(&mut self, recipe: &Recipe) {
        if logits(recipe) && recipe.decoder.untied {
            let sizes = &recipe.sizes;
            self.layer("lm_head", sizes.vocabulary, sizes.hidden, false, 1.0);
        }
    }

    /// A linear layer stored as `[in, out]`, with a bias.
    fn affine(&mut self, name: &str, outputs: usize, inputs: usize, gain: f32) {
        let spread = (3.0 * gain / inputs as f32).sqrt();
        self.add(&format!("{name}.weight"), vec![inputs, outputs], 0.0, spread);
        self.add(&format!("{name}.bias"), vec![outputs], 0.0, 0.3);
    }
}

fn logits(recipe: &Recipe) -> bool {
    recipe.output == HeadKind::Logits
}
