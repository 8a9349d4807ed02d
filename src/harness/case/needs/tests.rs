//! What made-up cases ask for.

use super::*;
use crate::contract::capability;

fn needs(models: &str, checkpoint: Option<Architecture>) -> BTreeSet<Capability> {
    let text = format!("{{requirement: R, name: n, tries: t, steps: [], models: {models}}}");
    serde_yaml::from_str::<Case>(&text).unwrap().capabilities(checkpoint)
}

#[test]
fn a_case_asks_for_the_architecture_of_each_of_its_models() {
    let all = needs("{a: {random: gpt2}, b: {registry: E13}, c: {}}", None);
    assert!(all.contains(&Capability::ModelGpt2) && all.contains(&Capability::Logits));
    let splade = registry::model("E13").unwrap().architecture;
    assert!(all.contains(&splade.into()) && all.contains(&Capability::ModelBert));
    assert!(!all.contains(&Capability::ModelLlama));
}

#[test]
fn a_file_in_shards_and_a_widened_tensor_ask_for_what_they_claim() {
    let text = |keep: &str| {
        format!(
            "{{requirement: R, name: n, tries: t, files: {{main: {{tensors: [{{name: a, dtype: F16, shape: \
             [2]}}], shards: {{count: 1}}}}}}, steps: [{{load: {{keep: {keep}, expect: {{loaded: []}}}}}}]}}"
        )
    };
    let of = |keep| serde_yaml::from_str::<Case>(&text(keep)).unwrap().capabilities(None);
    let (usual, sharded) = (Capability::FormatSafetensors, Capability::Sharded);
    assert_eq!(of("stored"), BTreeSet::from([usual, sharded, Capability::DtypeF16]));
    let widened = [usual, sharded, Capability::Widen, Capability::DtypeF32];
    assert_eq!(of("f32"), BTreeSet::from(widened));
}

#[test]
fn the_same_weights_in_another_format_are_of_the_same_architecture() {
    let all = needs("{a: {random: qwen3}, b: {same_as: a, format: gguf}}", None);
    let models: Vec<_> =
        all.iter().filter(|one| capability::name(**one).starts_with("model.")).collect();
    assert_eq!(models, [&Capability::ModelQwen3]);
}

#[test]
fn a_decoder_that_the_run_was_given_stands_in_for_the_made_one_and_is_asked_for() {
    let llama = Some(Architecture::Llama);
    for chat in ["{a: {chat: true}}", "{a: {full_size: true}}"] {
        assert!(needs(chat, None).contains(&Capability::ModelQwen2));
        assert!(needs(chat, Some(Architecture::Bert)).contains(&Capability::ModelQwen2));
        let given = needs(chat, llama);
        assert!(given.contains(&Capability::ModelLlama));
        assert!(!given.contains(&Capability::ModelQwen2));
    }
    let bundled = needs("{a: {chat: true, bundled: true}}", llama);
    assert!(bundled.contains(&Capability::ModelQwen2));
}

#[test]
fn a_head_size_of_its_own_is_asked_for_where_the_architecture_leaves_it_open() {
    let own = |models: &str| needs(models, None).contains(&Capability::ModelHeadDim);
    assert!(own("{a: {random: llama, own_head: true}}"));
    assert!(own("{a: {registry: E7}}") && !own("{a: {registry: E7, scale: full}}"));
    assert!(!own("{a: {random: llama}, b: {random: qwen3}, c: {chat: true}, d: {registry: E1}}"));
}

#[test]
fn every_architecture_has_a_capability_of_its_name() {
    for one in Architecture::ALL {
        assert_eq!(capability::name(one.into()), format!("model.{}", one.model_type()));
    }
}

#[test]
fn an_input_without_text_asks_for_text_and_no_other_does() {
    let of = |input: &str| {
        let text = format!(
            "{{requirement: R, name: n, tries: t, steps: [{{reject_input: {{input: {input}, refused: {{class: refused, code: [invalid_input]}}}}}}], models: {{a: \
             {{random: bert}}}}}}"
        );
        let case: Case = serde_yaml::from_str(&text).expect("a case");
        case.capabilities(None).contains(&Capability::Text)
    };
    assert!(of("no_text"));
    assert!(!of("id_beyond") && !of("mask_shape"));
}

#[test]
fn a_second_process_asks_for_what_its_file_needs() {
    let text = "{requirement: R, name: n, tries: t, files: {main: {tensors: [{name: a, dtype: BF16, shape: [2]}], \
                shards: {count: 1}}}, steps: [{load_beside: {}}, {compare_beside: {}}]}";
    let case: Case = serde_yaml::from_str(text).unwrap();
    let usual = [Capability::FormatSafetensors, Capability::Sharded, Capability::DtypeBf16];
    assert_eq!(case.capabilities(None), BTreeSet::from(usual));
    let host = [Capability::DeviceCpu, Capability::Read];
    assert!(case.relies(None).on(crate::contract::Device::Cpu).is_superset(&host.into()));
}
