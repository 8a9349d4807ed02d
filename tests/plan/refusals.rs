//! What cannot be planned is refused with a code, what was expected, what was found, and a remedy.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;
use weighbridge::contract::Code;
use weighbridge::harness::model::recipe::Architecture;
use weighbridge::harness::model::{config, file};
use weighbridge::harness::plan::{Document, Fault, Grid, Headers, Plan, Refusal, Rule, judge};

use crate::{golden, grid, headers, plan, recipe, written};

/// The refusal has every part, and these.
fn refused<T: std::fmt::Debug>(
    result: Result<T, Refusal>,
    fault: Fault,
    code: Code,
    rule: Option<Rule>,
) -> Refusal {
    let refusal = result.expect_err("a refusal");
    assert_eq!(
        (refusal.fault, refusal.failure.code, refusal.rule),
        (fault, code, rule),
        "{refusal}"
    );
    let failure = &refusal.failure;
    assert!(failure.expected.is_some() && failure.actual.is_some(), "{refusal}");
    assert!(failure.remedy.as_ref().is_some_and(|remedy| remedy.ends_with('.')), "{refusal}");
    refusal
}

#[test]
fn more_stages_than_layers_and_divided_encoders() {
    let llama = headers(&recipe(Architecture::Llama, |_| ()));
    let too_many = Plan::of(&llama, &grid(1, 4), 1);
    let unsupported = Code::UnsupportedCapability;
    let refusal = refused(too_many, Fault::Model, unsupported, Some(Rule::OneStage));
    assert!(refusal.failure.message.contains("3 layers cannot be divided over 4 stages"));
    let (entry, folder) = encoder();
    let encoder = Headers::read(folder.path()).expect("an encoder");
    for grid in [grid(2, 1), grid(1, 2)] {
        let refusal = refused(Plan::of(&encoder, &grid, 1), Fault::Model, unsupported, None);
        assert!(refusal.failure.message.contains("bert is an encoder"), "{refusal}");
    }
    let replicas = Grid::new(1, 1, 3, &[]).expect("a grid");
    let plan = plan(&encoder, &replicas);
    assert_eq!(plan.entries.len(), entry);
    for entry in &plan.entries {
        assert!(entry.cut.is_none() && entry.part.role.reason().is_some());
    }
    assert!(plan.grid.places().all(|place| plan.load(&place).bytes == plan.bytes()));
}

/// A small encoder on disk, and its number of tensors.
fn encoder() -> (usize, tempfile::TempDir) {
    use weighbridge::harness::model::{random, tensors};
    let recipe = random::recipe(Architecture::Bert, None, 5);
    (tensors::of(&recipe).len(), written(&recipe))
}

#[test]
fn files_of_another_degree() {
    let whole = recipe(Architecture::Llama, |recipe| {
        (recipe.sizes.heads, recipe.sizes.key_heads, recipe.sizes.inner) = (8, 4, 64);
    });
    let part = recipe(Architecture::Llama, |recipe| {
        (recipe.sizes.heads, recipe.sizes.key_heads, recipe.sizes.inner) = (4, 2, 32);
    });
    let mut headers = headers(&part);
    headers.config = config::of(&whole);
    let (mismatch, other) = (Code::ShapeMismatch, Some(Rule::OtherDegree));
    let refusal = refused(Plan::of(&headers, &grid(2, 1), 1), Fault::Model, mismatch, other);
    assert_eq!(refusal.numbers, [2]);
    assert!(refusal.failure.message.contains("one rank of 2"), "{refusal}");
    // A loader that makes a plan of them all the same.
    let claim = plan(&crate::headers(&whole), &grid(2, 1)).document();
    let findings = judge(&headers, &grid(2, 1), 1, &claim).expect("a judgement").findings;
    assert_eq!(crate::rules(&findings), [Rule::OtherDegree].into());
    // Other sizes that are no degree.
    let mut odd = whole.clone();
    odd.sizes.inner = 96;
    headers.config = config::of(&odd);
    let refusal = refused(
        Plan::of(&headers, &grid(2, 1), 1),
        Fault::Model,
        mismatch,
        Some(Rule::DeclaredShape),
    );
    assert!(refusal.failure.tensor.is_some());
    // Two files of the same tensors, without an index.
    let folder = written(&whole);
    let path = folder.path().join(file::SINGLE);
    fs::copy(&path, folder.path().join("rank-0.safetensors")).expect("copied");
    fs::rename(&path, folder.path().join("rank-1.safetensors")).expect("renamed");
    let refusal = refused(Headers::read(folder.path()), Fault::Files, Code::InvalidIndex, other);
    assert!(refusal.failure.message.contains("rank-0.safetensors and rank-1.safetensors"));
}

#[test]
fn a_computation_that_the_judge_does_not_know_changes_no_plan() {
    let sound = headers(&recipe(Architecture::Llama, |recipe| {
        (recipe.sizes.heads, recipe.sizes.key_heads, recipe.sizes.inner) = (8, 4, 64);
    }));
    let usual = plan(&sound, &grid(2, 1)).document();
    for (field, value) in [
        ("rope_scaling", json!({"rope_type": "longrope", "short_factor": [1.0]})),
        ("rope_parameters", json!({"rope_type": "yarn", "factor": 4.0})),
        ("hidden_act", json!("xielu")),
        ("attn_logit_softcapping", json!(50.0)),
        ("partial_rotary_factor", json!(0.5)),
        ("logits_scaling", json!(8.0)),
    ] {
        let mut other = sound.clone();
        if field == "rope_scaling" {
            other.config.as_object_mut().expect("fields").remove("rope_parameters");
        }
        other.config[field] = value;
        assert_eq!(plan(&other, &grid(2, 1)).document(), usual, "{field}");
    }
}

#[test]
fn weights_that_do_not_belong_to_the_configuration() {
    let made = recipe(Architecture::Llama, |recipe| recipe.decoder.biased = false);
    let of = |change: &dyn Fn(&mut Headers)| {
        let mut headers = headers(&made);
        change(&mut headers);
        Plan::of(&headers, &grid(1, 1), 1)
    };
    let (shape, missing) = (Some(Rule::DeclaredShape), Some(Rule::NoSuchTensor));
    let wider = of(&|headers| headers.config["intermediate_size"] = json!(68));
    refused(wider, Fault::Model, Code::ShapeMismatch, shape);
    let lost = of(&|headers| headers.tensors.retain(|one| one.name != "model.norm.weight"));
    let refusal = refused(lost, Fault::Model, Code::IncompleteModel, missing);
    assert_eq!(refusal.failure.tensor.as_deref(), Some("model.norm.weight"));
    let biased = of(&|headers| {
        let mut bias = headers.tensors[0].clone();
        bias.name = "model.layers.0.self_attn.q_proj.bias".to_owned();
        headers.tensors.push(bias);
    });
    refused(biased, Fault::Model, Code::InvalidConfig, shape);
    let twice = of(&|headers| {
        let mut again = headers.tensors[0].clone();
        again.name = format!("module.{}", again.name);
        headers.tensors.push(again);
    });
    refused(twice, Fault::Model, Code::IncompleteModel, None);
    let unknown = of(&|headers| headers.config["model_type"] = json!("mamba"));
    refused(unknown, Fault::Model, Code::UnknownArchitecture, None);
    let groups = of(&|headers| headers.config["num_key_value_heads"] = json!(4));
    assert!(groups.is_err());
    let nothing = of(&|headers| headers.config["vocab_size"] = json!("many"));
    refused(nothing, Fault::Model, Code::InvalidConfig, None);
    for (field, code) in [
        ("quantization_config", Code::UnsupportedDtype),
        ("num_local_experts", Code::UnsupportedCapability),
        ("use_qk_norm", Code::UnsupportedCapability),
    ] {
        let other = of(&|headers| headers.config[field] = json!({"bits": 4}));
        let refusal = refused(other, Fault::Model, code, None);
        assert!(refusal.failure.actual.is_some_and(|actual| actual.contains(field)), "{field}");
    }
    let quantised = of(&|headers| headers.tensors[3].dtype = weighbridge::contract::DType::I8);
    refused(quantised, Fault::Model, Code::UnsupportedDtype, None);
    // A tensor that nobody uses is listed and no fault.
    let unused = of(&|headers| {
        let mut more = headers.tensors[0].clone();
        more.name = "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned();
        headers.tensors.push(more);
    });
    assert_eq!(unused.expect("a plan").unused.len(), 1);
}

#[test]
fn files_that_cannot_be_read() {
    let read = |path: &Path| Headers::read(path);
    let mut remedies = BTreeSet::new();
    let mut absent = |path: &Path| {
        let refusal = refused(Headers::read(path), Fault::Files, Code::NotFound, None);
        assert!(
            remedies.insert(refusal.failure.remedy.clone()),
            "the remedy of another: {refusal}"
        );
    };
    absent(Path::new("/nowhere"));
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    absent(folder.path());
    let write = |name: &str, bytes: &[u8]| fs::write(at(name), bytes).expect("a file");
    let weights = fs::read(golden("qwen3").join(file::SINGLE)).expect("weights");
    write(file::SINGLE, &weights);
    absent(folder.path());
    write(file::CONFIG, b"{");
    refused(read(folder.path()), Fault::Files, Code::InvalidConfig, None);
    // Larger than a configuration can be, nested deeper, and no file.
    for text in [&b" ".repeat((16 << 20) + 1), &b"[".repeat(1000)] {
        write(file::CONFIG, text);
        let refusal = refused(read(folder.path()), Fault::Files, Code::Unreadable, None);
        let remedy = refusal.failure.remedy.as_deref().unwrap_or_default();
        assert!(remedy.contains("no model has"), "{refusal}");
    }
    fs::remove_file(at(file::CONFIG)).expect("removed");
    fs::create_dir(at(file::CONFIG)).expect("a folder");
    let refusal = refused(read(folder.path()), Fault::Files, Code::Unreadable, None);
    assert_eq!(refusal.failure.remedy.as_deref(), Some("Name a regular file."), "{refusal}");
    fs::remove_dir(at(file::CONFIG)).expect("removed");
    write(file::CONFIG, &fs::read(golden("qwen3").join(file::CONFIG)).expect("a configuration"));
    assert!(read(folder.path()).is_ok());
    let long = [&[0xff; 7][..], &weights[7..]].concat();
    let mut more = weights.clone();
    more.push(0);
    for (bytes, code) in [
        (&weights[..5], Code::TooShort),
        (&weights[..100], Code::HeaderTruncated),
        (&weights[..weights.len() - 1], Code::Truncated),
        (&more, Code::TrailingBytes),
        (b"GGUF\x03\0\0\0", Code::Gguf),
        (&long, Code::HeaderTooLarge),
        (&[&8_u64.to_le_bytes()[..], b"no JSON!"].concat(), Code::InvalidHeader),
    ] {
        write(file::SINGLE, bytes);
        refused(read(folder.path()), Fault::Files, code, None);
    }
    // An index that names a file that is not there, that leads out of the folder, that lists nothing, and that names the wrong file.
    fs::remove_file(at(file::SINGLE)).expect("removed");
    write("a.safetensors", &weights);
    write(file::INDEX, json!({"weight_map": {"x": "b.safetensors"}}).to_string().as_bytes());
    absent(folder.path());
    for map in [
        json!({"x": "../a.safetensors"}),
        json!({}),
        json!({"x": 3}),
        json!({"x": "a.safetensors"}),
    ] {
        write(file::INDEX, json!({"weight_map": map}).to_string().as_bytes());
        refused(read(folder.path()), Fault::Files, Code::InvalidIndex, None);
    }
    fs::remove_file(at(file::INDEX)).expect("removed");
    assert!(read(folder.path()).is_ok(), "the only file of the folder");
}

#[test]
fn several_files_are_planned_by_their_index() {
    let sharded = recipe(Architecture::Llama, |recipe| recipe.shards = 3);
    let folder = written(&sharded);
    let headers = Headers::read(folder.path()).expect("headers");
    assert_eq!(headers.files.len(), 3);
    let plan = plan(&headers, &grid(1, 3));
    let mut used: Vec<usize> = plan.entries.iter().map(|entry| entry.declared.file).collect();
    used.dedup();
    assert_eq!(used, [0, 1, 2]);
    assert_eq!(crate::found(&headers, &grid(1, 3), &plan.document()), Vec::new());
}

#[test]
fn claims_about_another_grid_and_documents_that_are_none() {
    let headers = headers(&recipe(Architecture::Llama, |recipe| recipe.sizes.inner = 64));
    let claim = plan(&headers, &grid(1, 3)).document();
    let of = |change: &dyn Fn(&mut Document)| {
        let mut claim = claim.clone();
        change(&mut claim);
        judge(&headers, &grid(1, 3), 1, &claim)
    };
    let request = Code::InvalidRequest;
    for change in [
        &(|claim: &mut Document| claim.ranks[2].rank = 3) as &dyn Fn(&mut Document),
        &|claim: &mut Document| claim.ranks[2].rank = u64::MAX,
        &|claim: &mut Document| claim.ranks[2].rank = 1,
        &|claim: &mut Document| claim.ranks.truncate(2),
        &|claim: &mut Document| claim.ranks.clear(),
    ] {
        let refusal = refused(of(change), Fault::Claim, request, None);
        assert_eq!(refusal.failure.expected.as_deref(), Some("ranks 0 to 2, each once"));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("claim.json");
    for text in [
        "[]",
        "{}",
        "{\"refused\": \"no\", \"ranks\": [{\"rank\": 0, \"device\": 0, \"tensors\": []}]}",
        "{\"ranks\": [{\"rank\": 0}]}",
        "{\"ranks\": [], \"other\": 1}",
        "{\"ranks\": [{\"rank\": 0, \"device\": 0, \"tensors\": [{\"tensor\": \"x\", \"ranges\": [[-1, 2]]}]}]}",
    ] {
        fs::write(&path, text).expect("a file");
        refused(Document::read(&path), Fault::Claim, request, None);
    }
    refused(Document::read(&folder.path().join("none")), Fault::Files, Code::NotFound, None);
}
