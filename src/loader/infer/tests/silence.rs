//! Tests that NaN in a model and missing memory are reported.

use super::{Tiny, bert, nomic, qwen2};
use crate::contract::Code;
use crate::loader::infer::host::HostOps;
use crate::loader::infer::ops::Ops;
use crate::loader::{InferenceValidator, RealInferenceValidator};

fn outcome(model: &Tiny) -> Result<Vec<f32>, Code> {
    model.run(&model.batch()).map(|traced| traced.output.values).map_err(|error| error.code())
}

#[test]
fn a_nan_in_any_tensor_reaches_the_output() {
    for model in [bert(), nomic(), qwen2()] {
        assert!(outcome(&model).is_ok());
        for (name, ..) in model.clone().tensors {
            let mut broken = model.clone();
            // Change every value, because a single row of a table may not be read.
            broken.values(&name).fill(f32::NAN);
            assert_eq!(outcome(&broken), Err(Code::OutputNotFinite), "{name}");
        }
    }
}

#[test]
fn relu_does_not_swallow_a_nan() {
    let mut model = bert();
    model.config["hidden_act"] = serde_json::json!("relu");
    assert!(outcome(&model).is_ok());
    model.values("encoder.layer.1.intermediate.dense.bias")[3] = f32::NAN;
    assert_eq!(outcome(&model), Err(Code::OutputNotFinite));
}

#[test]
fn room_that_is_not_there_is_refused() {
    for values in [1 << 44, 1 << 62, usize::MAX] {
        let error = HostOps::new(&[]).buffer(values).unwrap_err();
        assert_eq!(error.code(), Code::OutOfHostMemory, "{values}");
    }
}

#[test]
fn the_validator_passes_no_nan_on_either_side() {
    let validator = RealInferenceValidator::default();
    let code = |given: f32, golden: f32| {
        validator.compare_outputs(&[given], &[golden], 1.0).map_err(|error| error.code())
    };
    assert_eq!(code(1.0, 1.0), Ok(0.0));
    assert_eq!(code(f32::NAN, 1.0), Err(Code::OutputNotFinite));
    assert_eq!(code(1.0, f32::NAN), Err(Code::InvalidGolden));
    assert_eq!(code(1.0, f32::INFINITY), Err(Code::InvalidGolden));
}
