//! Tests that published tensors are found under the names that publishers give them, and that what does
//! not fit the configuration is named.

use super::super::{Described, HEAD, Naming};
use crate::contract::DType;
use crate::harness::model::{Architecture, Model, random};

/// A made model of this architecture.
fn made(architecture: Architecture) -> Model {
    Model::build(&random::recipe(architecture, None, 3))
}

fn read(model: &Model) -> Result<(Described, Naming), String> {
    Described::read(&model.config, &model.tensors)
}

/// The place of a tensor.
fn place(model: &Model, name: &str) -> usize {
    let found = model.tensors.iter().position(|one| one.name == name);
    found.unwrap_or_else(|| panic!("no tensor {name}"))
}

const WORDS: &str = "model.embed_tokens.weight";

#[test]
fn tensors_that_do_not_fit_the_configuration_are_named() {
    type Change = fn(&mut Model, usize);
    let rows: [(&str, Change, &str); 5] = [
        (
            "model.norm.weight",
            |model, at| {
                let mut twin = model.tensors[at].clone();
                twin.name = "module.norm.weight".to_owned();
                model.tensors.push(twin);
            },
            "model.norm.weight and module.norm.weight are one weight by name",
        ),
        (
            "model.norm.weight",
            |model, at| model.tensors[at].name = "model.other.weight".to_owned(),
            "the weights have no model.norm.weight",
        ),
        (
            "model.norm.weight",
            |model, at| model.tensors[at].shape = vec![7],
            "model.norm.weight has the shape [7], by config.json [",
        ),
        (
            "model.norm.weight",
            |model, at| model.tensors[at].dtype = DType::I16,
            "model.norm.weight is of I16, which the judge does not compute with",
        ),
        (
            "model.layers.0.self_attn.q_proj.weight",
            |model, at| {
                let mut bias = model.tensors[at].clone();
                bias.name = "model.layers.0.self_attn.q_proj.bias".to_owned();
                model.tensors.push(bias);
            },
            "model.layers.0.self_attn.q_proj.bias: by config.json there is no such bias",
        ),
    ];
    for (name, change, words) in rows {
        let mut model = made(Architecture::Llama);
        read(&model).unwrap_or_else(|why| panic!("unchanged: {why}"));
        let at = place(&model, name);
        change(&mut model, at);
        let why = read(&model).expect_err(words);
        assert!(why.starts_with(words), "{why}");
    }
}

/// A made Llama whose head is its word embeddings.
fn tied() -> Model {
    let mut recipe = random::recipe(Architecture::Llama, None, 3);
    recipe.decoder.untied = false;
    Model::build(&recipe)
}

#[test]
fn a_head_may_stand_for_the_word_embeddings_or_beside_them_alike() {
    let mut model = tied();
    let words = place(&model, WORDS);
    let mut head = model.tensors[words].clone();
    head.name = HEAD.to_owned();
    model.tensors.push(head);
    let (_, naming) = read(&model).expect("two that are alike");
    assert_eq!((naming.own(WORDS), naming.own(HEAD)), (Some(WORDS), None));

    let at = place(&model, HEAD);
    model.tensors[at].bytes[0] ^= 1;
    let why = read(&model).expect_err("two that differ");
    assert_eq!(why, "lm_head.weight differs from the word embeddings, but config.json ties them");

    // The head alone is the word embeddings, and the oracle gets it under their name.
    model.tensors.remove(words);
    let (described, naming) = read(&model).expect("the head alone");
    assert_eq!(naming.own(HEAD), Some(WORDS));
    let bytes = model.tensors[place(&model, HEAD)].bytes.clone();
    let oracle = naming.model(&described, model.tensors, 1);
    assert_eq!(oracle.tensors[place(&oracle, WORDS)].bytes, bytes);
    assert_eq!(oracle.config, described.config());
}

#[test]
fn older_names_and_prefixes_are_read() {
    let rows = [
        (Architecture::Bert, "embeddings.LayerNorm", "bert."),
        (Architecture::Roberta, "embeddings.LayerNorm", "roberta."),
        (Architecture::Gpt2, "ln_f", "_orig_mod.transformer."),
    ];
    for (architecture, norm, prefix) in rows {
        let mut model = made(architecture);
        let (_, before) = read(&model).expect("as made");
        for (today, older) in [("weight", "gamma"), ("bias", "beta")] {
            let own = format!("{norm}.{today}");
            let at = model.tensors.iter().position(|one| one.name.ends_with(&own)).expect("a norm");
            let published = model.tensors[at].name.clone();
            let renamed = format!("{prefix}{norm}.{older}");
            model.tensors[at].name.clone_from(&renamed);
            let (_, naming) = read(&model).expect("renamed");
            assert_eq!(naming.own(&renamed), before.own(&published), "{renamed}");
            assert!(naming.own(&renamed).is_some(), "{renamed}");
        }
    }
}
