//! Compares the oracle with the thirteen goldens, which the transformers library computed.

use crate::contract::inference::Pooling;
use crate::harness::model::HeadKind;
use crate::harness::model::registry::{Scale, golden_values, models};
use crate::harness::oracle::forward::*;

#[test]
fn agrees_with_transformers_on_all_thirteen_models() {
    for entry in models().unwrap() {
        let recipe = entry.recipe(Scale::Small).unwrap();
        let golden = entry.golden(Scale::Small).unwrap();
        let input = golden_values(golden.input).unwrap();
        let wanted = golden_values(golden.output).unwrap();
        let columns = input.len();
        let batch = match entry.output {
            HeadKind::Embedding(Pooling::None) => {
                Batch::Vectors { rows: 1, columns, values: input }
            }
            _ => Batch::Tokens {
                rows: 1,
                columns,
                ids: input.iter().map(|id| *id as i64).collect(),
                mask: vec![1; columns],
                types: Vec::new(),
            },
        };
        // In F64 only the result is rounded to F32. In F32 every sum is rounded.
        for (precision, tolerance) in [(Precision::F64, 2.0e-7), (Precision::F32, 4.0e-6)] {
            let mut oracle = Oracle::of(&recipe, precision).unwrap();
            let given = oracle.forward(&batch, false).unwrap().output.values;
            assert_eq!(given.len(), wanted.len());
            for (given, wanted) in given.iter().zip(&wanted) {
                let allowed = tolerance * wanted.abs().max(1.0);
                assert!((given - wanted).abs() <= allowed, "{}: {given} {wanted}", entry.id);
            }
        }
    }
}

#[test]
fn padding_with_its_mask_changes_nothing() {
    let entry = crate::harness::model::registry::model("E11").unwrap();
    let recipe = entry.recipe(Scale::Small).unwrap();
    let mut oracle = Oracle::of(&recipe, Precision::F64).unwrap();
    let mut run = |columns: usize| {
        let take = |n: usize, value: i64| {
            (0..columns).map(move |i| if i < 6 { n as i64 + i as i64 } else { value })
        };
        let batch = Batch::Tokens {
            rows: 1,
            columns,
            ids: take(7, recipe.sizes.padding as i64).collect(),
            mask: (0..columns).map(|i| i64::from(i < 6)).collect(),
            types: Vec::new(),
        };
        oracle.forward(&batch, true).unwrap()
    };
    let (short, long) = (run(6), run(11));
    for (a, b) in short.output.values.iter().zip(&long.output.values) {
        assert!((a - b).abs() < 1e-7, "{a} {b}");
    }
    let names: Vec<&str> = short.states.iter().map(|state| state.name.as_str()).collect();
    assert_eq!(names, ["embeddings", "layer.0", "layer.1", "pooled"]);
}

#[test]
fn what_a_model_cannot_take_is_refused() {
    let recipe =
        crate::harness::model::registry::model("E2").unwrap().recipe(Scale::Small).unwrap();
    let mut oracle = Oracle::of(&recipe, Precision::F32).unwrap();
    let vectors = Batch::Vectors { rows: 1, columns: 3, values: vec![0.0; 3] };
    assert!(matches!(oracle.forward(&vectors, false), Err(OracleError::Input(_))));
}
