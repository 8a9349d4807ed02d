//! What each weight of a decoder is for tensor parallelism: the table of roles.
//!
//! A decoder's layer has two pairs. Queries, keys and values are column-parallel by heads and the output of
//! attention is row-parallel; gate and up are column-parallel and down is row-parallel. After each pair one
//! sum over the ranks gives the layer's result. Everything between two pairs is replicated.

use serde::Serialize;

use crate::harness::model::described::is_words;

/// What divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Query heads.
    Heads,
    /// Key heads, each with its value head.
    KeyHeads,
    /// Features between up and down.
    Inner,
}

/// How a weight is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// By its outputs.
    Column(Unit),
    /// By its inputs.
    Row(Unit),
    /// Queries, keys and values in one matrix, one behind the other: column-parallel, each by its heads.
    FusedHeads,
    /// Gate and up in one matrix, one behind the other: column-parallel, each on its own.
    FusedGate,
    /// Word embeddings and head: by words.
    Vocabulary,
    /// The bias of a row-parallel layer: whole on every rank, and added once.
    RowBias,
    /// Whole on every rank, for this reason.
    Replicated(&'static str),
}

impl Role {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Column(_) => "column-parallel",
            Role::Row(_) => "row-parallel",
            Role::FusedHeads => "column-parallel, fused query, key and value",
            Role::FusedGate => "column-parallel, fused gate and up",
            Role::Vocabulary => "vocabulary-parallel",
            Role::RowBias => "replicated, added once",
            Role::Replicated(_) => "replicated",
        }
    }

    /// Why it is not divided.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Role::Replicated(reason) => Some(reason),
            Role::RowBias => {
                Some("it belongs to the sum over the ranks, not to a rank's part of it")
            }
            _ => None,
        }
    }
}

/// Where in the list of stages a weight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Home {
    /// In this layer, and so on the layer's stage.
    Layer(u64),
    /// Before the first layer.
    First,
    /// Behind the last layer.
    Last,
    /// Both: word embeddings to which the head is tied.
    FirstAndLast,
}

/// One row of the table.
struct Row {
    /// The module in a layer, or of the whole model.
    module: &'static str,
    weight: Role,
    bias: Role,
    /// Whether the weight is stored as `[in, out]`.
    transposed: bool,
}

const fn row(module: &'static str, weight: Role, bias: Role) -> Row {
    Row { module, weight, bias, transposed: false }
}

const fn conv(module: &'static str, weight: Role, bias: Role) -> Row {
    Row { module, weight, bias, transposed: true }
}

const NORM: Role = Role::Replicated("a norm is over the whole hidden state");
const HEAD_NORM: Role = Role::Replicated("every head has the same norm");
const POSITIONS: Role = Role::Replicated("every rank adds the positions");
const WORDS: Role = Role::Vocabulary;
const HEADS: Role = Role::Column(Unit::Heads);
const KEYS: Role = Role::Column(Unit::KeyHeads);
const INNER: Role = Role::Column(Unit::Inner);

/// Llama, Mistral, Qwen2, Qwen3, Phi-3, and GPT-2, whose names differ from all others.
const TABLE: [Row; 25] = [
    row("embed_tokens", WORDS, WORDS),
    row("self_attn.q_proj", HEADS, HEADS),
    row("self_attn.k_proj", KEYS, KEYS),
    row("self_attn.v_proj", KEYS, KEYS),
    row("self_attn.qkv_proj", Role::FusedHeads, Role::FusedHeads),
    row("self_attn.q_norm", HEAD_NORM, HEAD_NORM),
    row("self_attn.k_norm", HEAD_NORM, HEAD_NORM),
    row("self_attn.o_proj", Role::Row(Unit::Heads), Role::RowBias),
    row("mlp.gate_proj", INNER, INNER),
    row("mlp.up_proj", INNER, INNER),
    row("mlp.gate_up_proj", Role::FusedGate, Role::FusedGate),
    row("mlp.down_proj", Role::Row(Unit::Inner), Role::RowBias),
    row("input_layernorm", NORM, NORM),
    row("post_attention_layernorm", NORM, NORM),
    row("norm", NORM, NORM),
    row("lm_head", WORDS, WORDS),
    row("wte", WORDS, WORDS),
    row("wpe", POSITIONS, POSITIONS),
    row("ln_1", NORM, NORM),
    conv("attn.c_attn", Role::FusedHeads, Role::FusedHeads),
    conv("attn.c_proj", Role::Row(Unit::Heads), Role::RowBias),
    row("ln_2", NORM, NORM),
    conv("mlp.c_fc", INNER, INNER),
    conv("mlp.c_proj", Role::Row(Unit::Inner), Role::RowBias),
    row("ln_f", NORM, NORM),
];

/// What the table says of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How it is divided.
    pub role: Role,
    /// Which dimension is its output.
    pub output: usize,
    /// Where it is.
    pub home: Home,
}

/// The part of a weight by its name without the body's prefix; `None` if the table does not have it.
pub fn of(body: &str, tied: bool) -> Option<Part> {
    let (module, kind) = body.rsplit_once('.')?;
    let (layer, module) = in_layer(module);
    let row = TABLE.iter().find(|row| row.module == module)?;
    let (role, output) = match kind {
        "weight" => (row.weight, usize::from(row.transposed)),
        "bias" => (row.bias, 0),
        _ => return None,
    };
    let home = match layer {
        Some(layer) => Home::Layer(layer),
        None if is_words(body) && tied => Home::FirstAndLast,
        None if is_words(body) || module == "wpe" => Home::First,
        None => Home::Last,
    };
    Some(Part { role, output, home })
}

/// A layer's number and the rest of a module's name, if the module is in a layer.
fn in_layer(module: &str) -> (Option<u64>, &str) {
    let inside = module.strip_prefix("layers.").or_else(|| module.strip_prefix("h."));
    let split = inside.and_then(|inside| inside.split_once('.'));
    match split.and_then(|(number, rest)| Some((number.parse().ok()?, rest))) {
        Some((number, rest)) => (Some(number), rest),
        None => (None, module),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::harness::model::config;
    use crate::harness::model::decoders;
    use crate::harness::model::described::{Described, body};

    #[test]
    fn every_weight_of_a_decoder_has_a_row_and_every_row_has_a_weight() {
        let mut used = BTreeSet::new();
        for recipe in decoders::all() {
            let described = Described::of(&config::of(&recipe)).unwrap();
            for spec in described.weights() {
                let body = body(&spec.name, recipe.architecture);
                let part = of(&body, false).unwrap_or_else(|| panic!("no row for {}", spec.name));
                let in_layers = spec.name.contains(".layers.") || spec.name.contains(".h.");
                assert_eq!(matches!(part.home, Home::Layer(_)), in_layers, "{}", spec.name);
                let (module, _) = body.rsplit_once('.').unwrap();
                used.insert(in_layer(module).1.to_owned());
            }
        }
        let rows: BTreeSet<String> = TABLE.iter().map(|row| row.module.to_owned()).collect();
        assert_eq!(rows, used);
        assert_eq!(rows.len(), TABLE.len());
    }

    #[test]
    fn names_lead_to_layers_and_roles() {
        let query = of("layers.12.self_attn.q_proj.bias", false).unwrap();
        assert_eq!((query.role, query.home), (HEADS, Home::Layer(12)));
        let fused = of("h.0.attn.c_attn.weight", true).unwrap();
        assert_eq!((fused.role, fused.output), (Role::FusedHeads, 1));
        assert_eq!(of("h.0.attn.c_attn.bias", true).unwrap().output, 0);
        assert_eq!(of("wte.weight", true).unwrap().home, Home::FirstAndLast);
        assert_eq!(of("embed_tokens.weight", false).unwrap().home, Home::First);
        assert_eq!(of("norm.weight", false).unwrap().home, Home::Last);
        for unknown in
            ["layers.x.self_attn.q_proj.weight", "layers.1.other.weight", "norm.scale", "norm"]
        {
            assert_eq!(of(unknown, false), None, "{unknown}");
        }
    }
}
