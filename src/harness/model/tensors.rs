//! Lists every tensor of an architecture: name, shape and range of values.
//!
//! The names are those of the published checkpoints.

mod decoder;

use super::recipe::{Architecture, Recipe};

/// One tensor to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Middle of the range of values.
    pub middle: f32,
    /// Half the width of the range. Values are uniform in `middle - spread` to `middle + spread`.
    pub spread: f32,
}

impl Spec {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The tensors of a recipe's model, in the order of the file.
pub fn of(recipe: &Recipe) -> Vec<Spec> {
    let mut list = List(Vec::new());
    match recipe.architecture {
        Architecture::Bert => list.bert(recipe, if splade(recipe) { "bert." } else { "" }),
        Architecture::Roberta => list.bert(recipe, ""),
        Architecture::NomicBert => list.nomic(recipe),
        Architecture::Gpt2 => list.gpt2(recipe),
        Architecture::Projection => {}
        _ => list.llama(recipe),
    }
    if splade(recipe) {
        let hidden = recipe.sizes.hidden;
        list.layer("cls.predictions.transform.dense", hidden, hidden, true, 1.0);
        list.norm("cls.predictions.transform.LayerNorm", hidden, true);
    }
    if let Some(projection) = &recipe.projection {
        let inputs = match recipe.output.is_splade() {
            true => recipe.sizes.vocabulary,
            false => recipe.sizes.hidden,
        };
        let outputs = recipe.sizes.dimension;
        list.layer(&projection.name, outputs, inputs, projection.bias, 1.0);
    }
    if splade(recipe) {
        // The middle is below zero, so that some elements of the output are zero and some are not.
        // The tensor is last, because a vocabulary's size would misalign the tensors after it.
        list.add("cls.predictions.bias", vec![recipe.sizes.vocabulary], -2.0, 2.0);
    }
    list.0
}

fn splade(recipe: &Recipe) -> bool {
    recipe.output.is_splade()
}

struct List(Vec<Spec>);

impl List {
    fn add(&mut self, name: &str, shape: Vec<usize>, middle: f32, spread: f32) {
        self.0.push(Spec { name: name.to_owned(), shape, middle, spread });
    }

    /// A linear layer `[out, in]` whose outputs have `gain` times the variance of its inputs: the
    /// weights are uniform with variance `gain / inputs`.
    fn layer(&mut self, name: &str, outputs: usize, inputs: usize, bias: bool, gain: f32) {
        let spread = (3.0 * gain / inputs as f32).sqrt();
        self.add(&format!("{name}.weight"), vec![outputs, inputs], 0.0, spread);
        if bias {
            self.add(&format!("{name}.bias"), vec![outputs], 0.0, 0.3);
        }
    }

    fn norm(&mut self, name: &str, width: usize, bias: bool) {
        self.add(&format!("{name}.weight"), vec![width], 1.0, 0.4);
        if bias {
            self.add(&format!("{name}.bias"), vec![width], 0.0, 0.2);
        }
    }

    fn table(&mut self, name: &str, rows: usize, width: usize) {
        self.add(name, vec![rows, width], 0.0, 1.0);
    }

    fn bert(&mut self, recipe: &Recipe, prefix: &str) {
        let sizes = &recipe.sizes;
        let (hidden, inner) = (sizes.hidden, sizes.inner);
        let at = |name: &str| format!("{prefix}embeddings.{name}");
        self.table(&at("word_embeddings.weight"), sizes.vocabulary, hidden);
        self.table(&at("position_embeddings.weight"), sizes.positions, hidden);
        self.table(&at("token_type_embeddings.weight"), sizes.types, hidden);
        self.norm(&at("LayerNorm"), hidden, true);
        for n in 0..sizes.layers {
            let at = |name: &str| format!("{prefix}encoder.layer.{n}.{name}");
            // Queries and keys have a larger gain, so that the attention weights differ clearly.
            self.layer(&at("attention.self.query"), hidden, hidden, true, 2.0);
            self.layer(&at("attention.self.key"), hidden, hidden, true, 2.0);
            self.layer(&at("attention.self.value"), hidden, hidden, true, 1.0);
            self.layer(&at("attention.output.dense"), hidden, hidden, true, 1.0);
            self.norm(&at("attention.output.LayerNorm"), hidden, true);
            self.layer(&at("intermediate.dense"), inner, hidden, true, 1.0);
            self.layer(&at("output.dense"), hidden, inner, true, 2.0);
            self.norm(&at("output.LayerNorm"), hidden, true);
        }
    }

    fn nomic(&mut self, recipe: &Recipe) {
        let sizes = &recipe.sizes;
        let (hidden, inner) = (sizes.hidden, sizes.inner);
        self.table("embeddings.word_embeddings.weight", sizes.vocabulary, hidden);
        self.table("embeddings.token_type_embeddings.weight", sizes.types, hidden);
        self.norm("emb_ln", hidden, true);
        for n in 0..sizes.layers {
            let at = |name: &str| format!("encoder.layers.{n}.{name}");
            self.layer(&at("attn.Wqkv"), 3 * hidden, hidden, false, 2.0);
            self.layer(&at("attn.out_proj"), hidden, hidden, false, 1.0);
            self.norm(&at("norm1"), hidden, true);
            self.layer(&at("mlp.fc11"), inner, hidden, false, 1.0);
            self.layer(&at("mlp.fc12"), inner, hidden, false, 1.0);
            self.layer(&at("mlp.fc2"), hidden, inner, false, 2.0);
            self.norm(&at("norm2"), hidden, true);
        }
    }
}
