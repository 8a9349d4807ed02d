//! Tests each gate at, just below and just above its threshold.

use std::ops::Range;

use proptest::prelude::*;

use crate::contract::{Code, DType};
use crate::gpu::Tally;
use crate::loader::gates::*;

fn tensor(name: &str, shape: &[u64]) -> TensorInfo {
    let bytes = shape.iter().product::<u64>() * 4;
    TensorInfo { name: name.into(), dtype: DType::F32, shape: shape.to_vec(), begin: 0, end: bytes }
}

fn scan(info: &TensorInfo, values: &[f32]) -> Scan {
    let mut scan = Scan::new(info);
    scan.feed(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
    scan
}

fn verdict(name: &str, values: &[f32]) -> std::result::Result<Vec<GateReport>, Code> {
    let info = tensor(name, &[values.len() as u64 / 2, 2]);
    let scan = scan(&info, values);
    run([(&info, &scan)].into_iter(), judge).map_err(|error| {
        assert_eq!((error.phase(), error.failure().tensor.as_deref()), (Phase::Admit, Some(name)));
        error.code()
    })
}

/// 1000 values of which `zeros` are zero, spread evenly.
fn sparse(zeros: usize) -> Vec<f32> {
    (0..1000).map(|at| if (at * 617) % 1000 < zeros { 0.0 } else { 1.0 + at as f32 }).collect()
}

#[test]
fn kinds_by_name_and_shape() {
    for (name, shape, kind) in [
        ("model.embed_tokens.weight", &[4, 2][..], Kind::Embedding),
        ("embeddings.LayerNorm.weight", &[4], Kind::Scale),
        ("embeddings.LayerNorm.bias", &[4], Kind::Vector),
        ("transformer.wte.weight", &[4, 2], Kind::Embedding),
        ("h.0.ln_1.weight", &[4], Kind::Scale),
        ("blocks.0.ln1.weight", &[4], Kind::Scale),
        ("ln.weight", &[4], Kind::Scale),
        ("emb_ln.weight", &[4], Kind::Scale),
        ("emb_ln.bias", &[4], Kind::Vector),
        ("h.0.attn.bias", &[1, 1, 4, 4], Kind::Buffer),
        ("h.0.attn.masked_bias", &[], Kind::Buffer),
        ("rotary_emb.inv_freq", &[4], Kind::Buffer),
        ("lnear.weight", &[4], Kind::Weight),
        ("model.norm.weight", &[4], Kind::Scale),
        ("norm1.linear.weight", &[4, 4], Kind::Weight),
        ("q_proj.bias", &[4], Kind::Vector),
        ("relative_attention_bias.weight", &[4, 2], Kind::Weight),
        ("LayerNorm.gamma", &[4], Kind::Scale),
        ("logit_scale", &[], Kind::Scalar),
        ("bias", &[1], Kind::Scalar),
        ("lm_head.weight", &[4, 0], Kind::Empty),
        ("lm_head.weight", &[4, 2], Kind::Weight),
        ("w", &[4], Kind::Weight),
    ] {
        assert_eq!(Kind::of(&tensor(name, shape)), kind, "{name} {shape:?}");
    }
}

#[test]
fn density_has_exact_thresholds() {
    assert!(verdict("w", &sparse(799)).is_ok());
    assert_eq!(verdict("w", &sparse(800)), Err(Code::Density));
    assert!(verdict("embed.weight", &sparse(499)).is_ok());
    assert_eq!(verdict("embed.weight", &sparse(500)), Err(Code::Density));
    assert_eq!(verdict("w", &[-0.0; 8]), Err(Code::Density));
}

#[test]
fn one_non_finite_value_refuses() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = sparse(0);
        values[999] = bad;
        assert_eq!(verdict("w", &values), Err(Code::NonFinite));
        assert_eq!(verdict("x.bias", &values), Err(Code::NonFinite));
    }
}

#[test]
fn norm_and_variation() {
    assert_eq!(verdict("w", &[1e-8, 2e-8, 1e-8, 2e-8]), Err(Code::Norm));
    assert!(verdict("w", &[1e-5, 2e-5]).is_ok());
    assert_eq!(verdict("w", &[0.5; 10]), Err(Code::Constant));
    assert!(verdict("w", &[0.5, 0.5, 0.5, 0.25]).is_ok());
}

#[test]
fn vectors_and_scalars_answer_for_non_finite_only() {
    for (name, shape) in [("a.bias", 9), ("norm.bias", 9), ("logit_scale", 1)] {
        let info = tensor(name, &[shape]);
        let scan = scan(&info, &vec![0.0; shape as usize]);
        let reports = run([(&info, &scan)].into_iter(), judge).unwrap();
        for report in reports {
            let expected = if report.gate == Gate::NonFinite { (1, 0, shape) } else { (0, 1, 0) };
            assert_eq!((report.checked, report.exempt, report.elements), expected, "{report:?}");
        }
    }
}

#[test]
fn the_weights_of_a_norm_may_be_constant_and_not_zero() {
    let info = tensor("norm.weight", &[9]);
    let with = |value: f32| {
        let scan = scan(&info, &[value; 9]);
        run([(&info, &scan)].into_iter(), judge).map_err(|error| error.code())
    };
    assert!(with(1.0).is_ok());
    assert_eq!(with(0.0), Err(Code::Norm));
}

#[test]
fn a_buffer_answers_to_no_gate() {
    let mut info = tensor("h.0.attn.masked_bias", &[]);
    info.dtype = DType::F32;
    let scan = scan(&info, &[f32::NEG_INFINITY]);
    let reports = run([(&info, &scan)].into_iter(), judge).unwrap();
    assert!(reports.iter().all(|report| (report.checked, report.exempt) == (0, 1)), "{reports:?}");
}

/// The values of a table with `columns` columns in which these rows are zeros.
fn with_zero_rows(rows: usize, columns: usize, zero: impl Fn(usize) -> bool) -> Vec<f32> {
    (0..rows * columns).map(|at| if zero(at / columns) { 0.0 } else { 1.0 + at as f32 }).collect()
}

fn of_table(name: &str, shape: [u64; 2], values: &[f32]) -> Option<Code> {
    let info = tensor(name, &shape);
    let scan = scan(&info, values);
    run([(&info, &scan)].into_iter(), judge).err().map(|error| error.code())
}

#[test]
fn zeros_by_role_are_sound_and_others_are_not() {
    let types = "embeddings.token_type_embeddings.weight";
    assert_eq!(of_table(types, [1, 90], &[0.0; 90]), None);
    let mut partly = vec![0.0; 90];
    partly[70] = 1.0;
    assert_eq!(of_table(types, [1, 90], &partly), Some(Code::Density));
    assert_eq!(of_table(types, [1, 90], &[0.5; 90]), Some(Code::Constant));
    assert_eq!(of_table(types, [2, 45], &[0.0; 90]), Some(Code::Density));
    assert_eq!(of_table("word_embeddings.weight", [1, 90], &[0.0; 90]), Some(Code::Density));
    assert_eq!(of_table("q_proj.lora_B.default.weight", [30, 3], &[0.0; 90]), None);
    assert_eq!(of_table("q_proj.lora_A.default.weight", [3, 30], &[0.0; 90]), Some(Code::Density));
}

#[test]
fn whole_rows_of_zeros_are_sound_in_tables_of_tokens() {
    // Rows 2, 10 and 18 hold the windows; 80 elements are more than one window.
    let rows = with_zero_rows(20, 80, |row| [2, 10, 18].contains(&row));
    for name in
        ["embed_tokens.weight", "wpe.weight", "lm_head.weight", "cls.predictions.decoder.weight"]
    {
        assert_eq!(of_table(name, [20, 80], &rows), None, "{name}");
    }
    assert_eq!(of_table("q_proj.weight", [20, 80], &rows), Some(Code::SpotCheck));
    // One value in such a row says that the zeros are a hole.
    let mut hole = rows.clone();
    hole[10 * 80 + 79] = 1.0;
    assert_eq!(of_table("embed_tokens.weight", [20, 80], &hole), Some(Code::SpotCheck));
    let half = with_zero_rows(20, 80, |row| row >= 10);
    assert_eq!(of_table("embed_tokens.weight", [20, 80], &half), Some(Code::Density));
}

#[test]
fn spot_check_needs_a_whole_window_of_zeros() {
    for percent in [10, 50, 90] {
        let mut values: Vec<f32> = (1..=2000).map(|at| at as f32).collect();
        values[20 * percent] = 0.0;
        assert!(verdict("w", &values).is_ok(), "one zero at {percent} %");
        values[20 * percent..20 * percent + 64].fill(0.0);
        assert_eq!(verdict("w", &values), Err(Code::SpotCheck), "window at {percent} %");
        values[20 * percent + 63] = 1.0;
        assert!(verdict("w", &values).is_ok(), "63 zeros at {percent} %");
    }
}

#[test]
fn counts_sampled_elements_once() {
    for (total, sampled) in [(4, 4), (64, 64), (100, 100 - 10), (160, 144), (2000, 192)] {
        let info = tensor("w", &[total]);
        assert_eq!(Scan::new(&info).sampled(), sampled, "{total} elements");
    }
}

proptest! {
    #[test]
    fn pieces_do_not_matter(values in prop::collection::vec(-2i8..3, 2..400), cut in 1usize..50) {
        let values: Vec<f32> = values.into_iter().map(f32::from).collect();
        let info = tensor("w", &[values.len() as u64]);
        let whole = scan(&info, &values);
        let mut pieces = Scan::new(&info);
        for piece in values.chunks(cut) {
            pieces.feed(&piece.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
        }
        prop_assert_eq!(whole.zeros(), values.iter().filter(|value| **value == 0.0).count() as u64);
        prop_assert_eq!(pieces.zeros(), whole.zeros());
        prop_assert_eq!(pieces.varies(), whole.varies());
        prop_assert_eq!(pieces.empty_window(), whole.empty_window());
        prop_assert_eq!(pieces.norm(), whole.norm());
        prop_assert_eq!(pieces.elements(), values.len() as u64);
    }
}

/// The counts of a part of a tensor, as a device makes them.
fn tally(values: &[f32], windows: &[Range<u64>; 3]) -> Tally {
    let first = values.iter().position(|value| !value.is_finite());
    let holds = |window: &Range<u64>| {
        values[window.start as usize..window.end as usize].iter().any(|value| *value != 0.0)
    };
    let hits = windows.iter().enumerate().filter(|(_, window)| holds(window));
    Tally {
        zeros: values.iter().filter(|value| **value == 0.0).count() as u64,
        non_finite: values.iter().filter(|value| !value.is_finite()).count() as u64,
        first_non_finite: first.map_or(u64::MAX, |at| at as u64),
        squares: values.iter().map(|value| f64::from(*value).powi(2)).sum(),
        varies: values.iter().any(|value| *value != values[0]).into(),
        hits: hits.map(|(at, _)| 1u32 << at).sum(),
    }
}

#[test]
fn what_a_device_counts_is_what_the_host_counts() {
    let mut gap = sparse(300);
    gap[480..600].fill(0.0);
    let mut bad = sparse(10);
    bad[700] = f32::NAN;
    bad[800] = f32::INFINITY;
    for (name, values) in [
        ("w", sparse(0)),
        ("w", sparse(799)),
        ("w", vec![0.0; 1000]),
        ("w", vec![0.5; 1000]),
        ("w", gap.clone()),
        ("embed_tokens.weight", gap),
        ("w", bad),
    ] {
        let info = tensor(name, &[10, 100]);
        let rows = row_windows(&info).map(|all| {
            all.map(|window| {
                let part = &values[window.start as usize..window.end as usize];
                tally(part, &[0..0, 0..0, 0..0])
            })
        });
        let fed = scan(&info, &values);
        let counted = Scan::counted(&info, &tally(&values, &windows(1000)), rows);
        let counts = |scan: &Scan| {
            let bad = (scan.non_finite(), scan.first_non_finite());
            (scan.elements(), scan.zeros(), bad, scan.varies(), scan.empty_window(), scan.sampled())
        };
        assert_eq!(counts(&counted), counts(&fed), "{name}");
        let near = (counted.norm() - fed.norm()).abs() <= 1e-9 * fed.norm();
        assert!(near || fed.norm().is_nan() || fed.norm().is_infinite(), "{name}");
    }
}

#[test]
fn values_of_other_types_are_not_scanned() {
    let info = TensorInfo { dtype: DType::I64, ..tensor("position_ids", &[2]) };
    let mut scan = Scan::new(&info);
    scan.feed(&[1; 16]);
    assert_eq!((scan.elements(), scan.zeros(), scan.norm()), (0, 0, 0.0));
}
