//! Tests that the remedy fits the missing tensors.

use super::*;
use crate::loader::format::Import;
use crate::loader::format::safetensors::TensorInfo;

fn held(name: &str) -> PlacedTensor {
    let info =
        TensorInfo { name: name.into(), dtype: DType::F32, shape: vec![2], begin: 0, end: 8 };
    PlacedTensor { info, dtype: DType::F32, offset: 0, bytes: 8, import: Import::default() }
}

/// The remedy for a small model whose file has these names.
fn remedy(there: &[&str]) -> String {
    let tensors: Vec<PlacedTensor> = there.iter().map(|name| held(name)).collect();
    let mut finder = Finder::new(&tensors, "model.", "embed.weight");
    finder.vector("embed.weight", 2);
    finder.norm("norm", NormKind::Layer, 2, 1e-5);
    finder.outside();
    finder.vector("lm_head.weight", 2);
    let error = finder.end("small").expect_err("something is missing");
    error.failure().remedy.clone().unwrap_or_default()
}

#[test]
fn what_is_there_decides_the_remedy() {
    let body = ["model.embed.weight", "model.norm.weight", "model.norm.bias"];
    let with = |prefix: &str| -> Vec<String> {
        let all = body.iter().copied().chain(["lm_head.weight"]);
        all.map(|name| format!("{prefix}{name}")).collect()
    };
    assert_eq!(remedy(&body), HEAD_MISSING.about(["\"lm_head.weight\""]).text);
    assert_eq!(remedy(&body[..2]), TENSORS_MISSING.text);
    assert_eq!(
        remedy(&["model.embed.weight", "model.norm.gamma", "model.norm.beta", "lm_head.weight"]),
        NORMS_OLD_NAMES.text
    );
    for prefix in ["base_model.model.", "_orig_mod.", "module."] {
        let names = with(prefix);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let wanted = NAMES_PREFIXED.about([&quote(prefix)]).text;
        assert_eq!(remedy(&names), wanted);
    }
    let adapter = ["base_model.model.embed.lora_A.weight", "base_model.model.embed.lora_B.weight"];
    assert_eq!(remedy(&adapter), ADAPTER_ALONE.text);
    let quantised = ["model.embed.weight", "model.norm.qweight", "model.norm.qzeros"];
    let wanted = QUANTISED_NAMES.about(["\"model.norm.qweight\""]).text;
    assert_eq!(remedy(&quantised), wanted);
}
