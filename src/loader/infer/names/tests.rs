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
    for prefix in ["backbone.", "net.inner."] {
        let names = with(prefix);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let wanted = NAMES_PREFIXED.about([&quote(prefix)]).text;
        assert_eq!(remedy(&names), wanted);
    }
    let both = ["model.embed.weight", "embed.weight", "model.norm.weight", "model.norm.bias"];
    let wanted = TWO_CLAIM_A_NAME.about(["\"embed.weight\"", "\"model.embed.weight\""]);
    let with_head: Vec<&str> = both.iter().copied().chain(["lm_head.weight"]).collect();
    assert_eq!(remedy(&with_head), wanted.text);
    let partly =
        ["model.embed.weight", "module.model.norm.weight", "model.norm.bias", "lm_head.weight"];
    let wanted =
        NAMES_PARTLY_PREFIXED.about(["\"module.model.norm.weight\"", "\"model.embed.weight\""]);
    assert_eq!(remedy(&partly), wanted.text);
    let adapter = ["base_model.model.embed.lora_A.weight", "base_model.model.embed.lora_B.weight"];
    assert_eq!(remedy(&adapter), ADAPTER_ALONE.text);
    let quantised = ["model.embed.weight", "model.norm.qweight", "model.norm.qzeros"];
    let wanted = QUANTISED_NAMES.about(["\"model.norm.qweight\""]).text;
    assert_eq!(remedy(&quantised), wanted);
}

/// Every tensor of the small model is found, and `unused` are the others.
fn found(there: &[&str]) -> Vec<String> {
    let tensors: Vec<PlacedTensor> = there.iter().map(|name| held(name)).collect();
    let mut finder = Finder::new(&tensors, "model.", "embed.weight");
    finder.vector("embed.weight", 2);
    finder.norm("norm", NormKind::Layer, 2, 1e-5);
    finder.outside();
    finder.vector("lm_head.weight", 2);
    finder.end("small").expect("everything is there")
}

#[test]
fn names_inside_other_modules_and_old_names_are_found() {
    let none = Vec::<String>::new();
    for front in ["", "_orig_mod.", "module.", "base_model.model.", "module._orig_mod.", "model."] {
        let names: Vec<String> = ["model.embed.weight", "model.norm.gamma", "model.norm.beta"]
            .iter()
            .chain(&["lm_head.weight"])
            .map(|name| format!("{front}{name}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(found(&names), none, "{front}");
        // Only the body was inside the module.
        let last = names.len() - 1;
        let apart: Vec<&str> = names[..last].iter().copied().chain(["lm_head.weight"]).collect();
        assert_eq!(found(&apart), none, "{front}");
    }
    let bare = ["embed.weight", "norm.weight", "norm.bias", "lm_head.weight", "pooler.weight"];
    assert_eq!(found(&bare), ["pooler.weight"]);
}
