//! Tests models with missing or unexpected tensors. They are refused by their headers alone.

use serde_json::json;

use super::{Tiny, bert, nomic, projection, qwen2};
use crate::contract::inference::{Head, Pooling};
use crate::contract::{Code, DType, Phase};
use crate::loader::error::LoadError;
use crate::loader::infer::body::Parts;
use crate::loader::infer::config::Config;

fn refused(model: &Tiny) -> LoadError {
    let error = model.runnable().map(drop).unwrap_err();
    assert_eq!(error.phase(), Phase::Header, "{error}");
    error
}

#[test]
fn whole_models_are_found_with_and_without_their_prefix() {
    for (model, prefix) in
        [(bert(), "bert."), (qwen2(), "model."), (nomic(), ""), (projection(), "")]
    {
        assert!(model.runnable().is_ok(), "{}", model.config);
        let mut prefixed = model.clone();
        prefixed.tensors.iter_mut().for_each(|(name, ..)| *name = format!("{prefix}{name}"));
        assert!(prefixed.runnable().is_ok(), "{prefix}");
    }
}

#[test]
fn each_tensor_is_missed_by_its_name() {
    for model in [bert(), nomic(), qwen2()] {
        for (name, ..) in &model.tensors {
            let error = refused(&model.clone().without(name));
            assert_eq!(error.code(), Code::IncompleteModel, "{name}");
            assert_eq!(error.failure().tensor.as_deref(), Some(name.as_str()));
            assert_eq!(error.failure().actual.as_deref(), Some("1 missing"), "{name}");
        }
    }
}

#[test]
fn a_missing_anchor_does_not_hide_the_prefix() {
    for (model, prefix) in [(bert(), "bert."), (qwen2(), "model.")] {
        let mut prefixed = model.clone();
        prefixed.tensors.iter_mut().for_each(|(name, ..)| *name = format!("{prefix}{name}"));
        let anchor = prefixed.tensors[0].0.clone();
        let error = refused(&prefixed.without(&anchor));
        assert_eq!(error.failure().tensor, Some(anchor));
        assert_eq!(error.failure().actual.as_deref(), Some("1 missing"), "{error}");
    }
}

#[test]
fn what_is_missing_is_counted_and_the_first_named() {
    let mut model = bert();
    model.tensors.retain(|(name, ..)| !name.contains("layer.1."));
    let error = refused(&model);
    let message = &error.failure().message;
    assert!(message.contains("16 tensors missing for bert"), "{message}");
    assert_eq!(message.matches("encoder.layer.1.").count(), 5, "{message}");
}

#[test]
fn more_layers_than_tensors_are_refused_at_once() {
    // Four billion layers: a search for each would take hours and all memory.
    for mut model in [bert(), nomic(), qwen2()] {
        model.config["num_hidden_layers"] = json!(u32::MAX);
        let start = std::time::Instant::now();
        let error = refused(&model);
        assert_eq!(error.code(), Code::IncompleteModel);
        assert!(error.failure().message.contains("at least"), "{error}");
        assert!(start.elapsed().as_secs() < 5);
    }
}

#[test]
fn shapes_and_types_that_do_not_fit_are_refused() {
    for model in [bert(), nomic(), qwen2()] {
        for at in 0..model.tensors.len() {
            let mut wrong = model.clone();
            let (name, shape, _) = &mut wrong.tensors[at];
            shape[0] += 1;
            let (name, found) = (name.clone(), format!("{shape:?}"));
            let error = refused(&wrong);
            assert_eq!(error.code(), Code::ShapeMismatch, "{name}");
            assert_eq!(error.failure().tensor, Some(name));
            assert_eq!(error.failure().actual, Some(found));
        }
    }
    let model = bert();
    let config = Config::parse(model.config.to_string().as_bytes()).unwrap();
    let (mut placed, _) = model.placed();
    placed[0].dtype = DType::I64;
    let error = Parts::find(&config, &model.head, &placed).unwrap_err();
    assert_eq!((error.code(), error.failure().dtype), (Code::ShapeMismatch, Some(DType::I64)));
}

#[test]
fn a_projection_is_as_wide_as_its_configuration_says() {
    let mut other = projection();
    other.config["output_size"] = json!(5);
    let error = refused(&other);
    assert_eq!(error.code(), Code::ShapeMismatch);
    assert_eq!(error.failure().tensor.as_deref(), Some("linear.weight"));
}

#[test]
fn a_projection_without_rows_is_refused() {
    let mut empty = bert();
    empty.head = Head::Embedding {
        pooling: Pooling::Mean,
        projection: Some("dense".into()),
        normalize: false,
    };
    empty.add("dense.weight", &[0, 8]);
    assert_eq!(refused(&empty).code(), Code::ShapeMismatch);
}

#[test]
fn heads_that_do_not_suit_are_refused() {
    for (model, head) in [
        (bert(), Head::pooled(Pooling::None)),
        (bert(), Head::Logits {}),
        (projection(), Head::pooled(Pooling::Mean)),
        (projection(), Head::TokenStates { projection: Some("linear".into()), normalize: false }),
        (qwen2(), Head::pooled(Pooling::Splade)),
        (nomic(), Head::pooled(Pooling::Splade)),
    ] {
        let error = Tiny { head, ..model }.runnable().map(drop).unwrap_err();
        assert_eq!((error.phase(), error.code()), (Phase::Request, Code::InvalidRequest));
    }
}
