//! A checkpoint of one's own in the place of the made decoders: several shards, another architecture, a
//! template that the judge has not made.

mod program;

use std::fs;
use std::path::Path;

use program::{command, ran};
use weighbridge::harness::model::{Architecture, HeadKind, file, random};

/// In the manner of published ones: blocks trimmed, methods of Python, a token of its own in front.
const TEMPLATE: &str = "{% set loop_messages = messages %}\n\
    {% for message in loop_messages %}\n\
    {% set content = '<|im_start|>' + message['role'] + '\n' + message['content'].strip() + '<|im_end|>' %}\n\
    {% if loop.index0 == 0 %}\n    {% set content = bos_token + content %}\n{% endif %}\n\
    {{- content }}{% endfor %}\n\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// A Llama of two shards that speaks with the small chat model's tokenizer.
fn checkpoint(folder: &Path) {
    let mut recipe = random::recipe(Architecture::Llama, Some(HeadKind::Logits), 11);
    (recipe.sizes.vocabulary, recipe.sizes.dimension) = (1024, 1024);
    (recipe.sizes.positions, recipe.shards) = (2048, 2);
    recipe.decoder.untied = true;
    file::write_recipe(&recipe, folder, &|_| ()).expect("written");
    let small = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chat/model");
    fs::copy(small.join("tokenizer.json"), folder.join("tokenizer.json")).expect("copied");
    let settings = serde_json::json!({
        "chat_template": TEMPLATE, "eos_token": "<|im_end|>",
        "bos_token": {"__type": "AddedToken", "content": "<|im_end|>"},
    });
    fs::write(folder.join("tokenizer_config.json"), settings.to_string()).expect("written");
}

/// Exit code and output of some cases over a checkpoint.
fn certify(words: &[&str], checkpoint: &Path, scratch: &Path) -> (Option<i32>, String) {
    weigh(&[&["--profile", "host"], words].concat(), checkpoint, scratch)
}

/// The same of any profile.
fn weigh(words: &[&str], checkpoint: &Path, scratch: &Path) -> (Option<i32>, String) {
    let mut certify = command(&["certify", "--seed", "00000000000000aa", "--model"]);
    certify.arg(checkpoint).arg("--out").arg(scratch.join("report")).args(words);
    let ran = ran(&mut certify);
    (ran.code, ran.out + &ran.err)
}

#[test]
fn it_is_weighed_by_its_own_template() {
    let (model, scratch) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    checkpoint(model.path());
    let cases = ["--case", "PMAT-236-1", "--case", "PARITY-114-3", "--case", "two_plus_two"];
    let (code, text) = certify(&cases, model.path(), scratch.path());
    // Random weights do not know sums. No case asks whether weights are good, so none fails.
    assert_eq!(code, Some(3), "only what was not selected is untested: {text}");
    assert_eq!(reasons(scratch.path(), "two_plus_two"), [("pass".to_owned(), String::new())]);
    // The same by a loader that skips the template.
    let manifest = scratch.path().join("manifest.yaml");
    let exe = env!("CARGO_BIN_EXE_weighbridge");
    fs::write(&manifest, format!("name: skips\ncommand: ['{exe}', mutant, template-skipped]\n"))
        .expect("written");
    let manifest = manifest.display().to_string();
    let words = ["--case", "PMAT-236-1::tokens_as_rendered", "--loader", manifest.as_str()];
    let (code, text) = certify(&words, model.path(), scratch.path());
    assert_eq!(code, Some(1), "{text}");
}

/// Verdict and reason of the cases of a report that were tried and whose id has a part.
fn reasons(scratch: &Path, part: &str) -> Vec<(String, String)> {
    let text = fs::read(scratch.join("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let cases = report["record"]["cases"].as_array().expect("cases").iter();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    cases
        .filter(|case| word(&case["id"]).contains(part))
        .map(|case| (word(&case["verdict"]), word(&case["reason"])))
        .collect()
}

/// Changes `config.json` in a folder.
fn configure(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = folder.join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    change(&mut config);
    fs::write(path, config.to_string()).expect("written");
}

#[test]
fn its_facts_count_where_publishers_write_them() {
    let (model, scratch) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    checkpoint(model.path());
    let weights = model.path().join("model-00001-of-00002.safetensors");
    let before = fs::read(&weights).expect("weights");
    // Base and scaling as older files have them.
    configure(model.path(), |config| {
        let rotary = config["rope_parameters"].take();
        config["rope_theta"] = rotary["rope_theta"].clone();
        config["rope_scaling"] = rotary;
        config["rope_scaling"].as_object_mut().expect("an object").remove("rope_theta");
        config.as_object_mut().expect("an object").remove("rope_parameters");
    });
    let (code, text) = certify(&["--case", "PUBLISHED-REAL"], model.path(), scratch.path());
    assert_eq!(code, Some(3), "{text}");
    for case in ["logits", "layer_by_layer", "greedy"] {
        let id = format!("PUBLISHED-REAL::{case}");
        assert_eq!(reasons(scratch.path(), &id), [("pass".to_owned(), String::new())]);
    }
    let golden = reasons(scratch.path(), "PUBLISHED-REAL::stored_golden");
    assert!(golden[0].0 == "untested" && golden[0].1.contains("no golden"), "{golden:?}");
    assert_eq!(fs::read(&weights).expect("weights"), before, "the user's own file");
}

#[test]
fn what_the_judge_cannot_describe_is_untested_with_the_reason() {
    type Change = fn(&mut serde_json::Value);
    let told: [(&str, Change); 4] = [
        ("mamba", |config| config["model_type"] = "mamba".into()),
        ("xielu", |config| config["hidden_act"] = "xielu".into()),
        ("yarn", |config| config["rope_parameters"]["rope_type"] = "yarn".into()),
        ("lm_head.weight", |config| config["vocab_size"] = 1023.into()),
    ];
    for (part, change) in told {
        let (model, scratch) = (tempfile::tempdir().expect("1"), tempfile::tempdir().expect("2"));
        checkpoint(model.path());
        configure(model.path(), change);
        let cases = ["--case", "F-QUAL-076::chat", "--case", "PUBLISHED-REAL"];
        let (code, text) = certify(&cases, model.path(), scratch.path());
        assert_eq!(code, Some(3), "{part}: {text}");
        for id in ["F-QUAL-076::chat", "PUBLISHED-REAL::"] {
            let reasons = reasons(scratch.path(), id);
            assert!(!reasons.is_empty(), "{id}");
            for (verdict, reason) in reasons {
                let right = verdict == "untested" && reason.contains("--model");
                let named = reason.contains(part) || reason.contains("shape");
                assert!(right && named, "{part}: {verdict}: {reason}");
            }
        }
    }
}

#[test]
fn a_refusal_by_name_of_what_is_unusual_is_untested_and_of_an_ordinary_folder_a_failure() {
    let (model, scratch) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    checkpoint(model.path());
    // What the reference loader refuses, in the spelling of another family.
    configure(model.path(), |config| {
        config["n_embd"] = config["hidden_size"].take();
        config.as_object_mut().expect("an object").remove("hidden_size");
    });
    let (code, text) = certify(&["--case", "PUBLISHED-REAL"], model.path(), scratch.path());
    assert_eq!(code, Some(3), "{text}");
    let all = reasons(scratch.path(), "PUBLISHED-REAL::");
    assert!(!all.is_empty());
    for (verdict, reason) in all {
        let named = reason.contains("by name: n_embd") || reason.contains("by name: hidden_size");
        assert!(verdict == "untested" && named, "{verdict}: {reason}");
    }
    // A folder in the family's own spelling, by a loader that reads this configuration in its place.
    let odd = model.path().join("config.json").display().to_string();
    let (ordinary, scratch) = (tempfile::tempdir().expect("1"), tempfile::tempdir().expect("2"));
    checkpoint(ordinary.path());
    let manifest = scratch.path().join("manifest.yaml");
    let exe = env!("CARGO_BIN_EXE_weighbridge");
    let pipe = format!(r##"sed -u 's|"config":"[^"]*"|"config":"{odd}"|' | {exe} loader"##);
    let text = serde_json::json!({"name": "misreads", "command": ["sh", "-c", pipe]});
    fs::write(&manifest, text.to_string()).expect("written");
    let manifest = manifest.display().to_string();
    let words = ["--case", "PUBLISHED-REAL::logits", "--loader", manifest.as_str()];
    let (code, text) = certify(&words, ordinary.path(), scratch.path());
    assert_eq!(code, Some(1), "{text}");
    let reasons = reasons(scratch.path(), "PUBLISHED-REAL::logits");
    assert!(reasons[0].0 == "fail" && reasons[0].1.contains("n_embd"), "{reasons:?}");
}

#[test]
fn files_that_cannot_be_read_leave_cases_untested() {
    let (model, scratch) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    checkpoint(model.path());
    let broken: [(&str, &[u8], &str); 2] = [
        ("model-00001-of-00002.safetensors", b"cut", "safetensors"),
        (file::INDEX, b"{}", "weight_map"),
    ];
    for (name, bytes, part) in broken {
        fs::write(model.path().join(name), bytes).expect("written");
        let cases = ["--case", "F-PARSE-036::checkpoint_of_the_run", "--case", "PUBLISHED-REAL"];
        let (code, text) = certify(&cases, model.path(), scratch.path());
        assert_eq!(code, Some(3), "{text}");
        for id in ["F-PARSE-036::checkpoint_of_the_run", "PUBLISHED-REAL::"] {
            let reasons = reasons(scratch.path(), id);
            assert!(!reasons.is_empty(), "{id}");
            let told =
                |(verdict, why): &(String, String)| verdict == "untested" && why.contains(part);
            assert!(reasons.iter().all(told), "{reasons:?}");
        }
    }
}

#[test]
fn what_it_lacks_leaves_cases_untested_with_the_reason() {
    let (model, scratch) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    checkpoint(model.path());
    fs::remove_file(model.path().join("tokenizer_config.json")).expect("removed");
    let (code, text) = certify(&["--case", "PMAT-236-1"], model.path(), scratch.path());
    assert_eq!(code, Some(3), "{text}");
    let report = fs::read_to_string(scratch.path().join("report.md")).expect("a report");
    assert!(report.contains("no tokenizer"), "{report}");
}

/// The small chat model, which can be changed.
fn small_chat(folder: &Path) {
    let small = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chat/model");
    for entry in fs::read_dir(small).expect("the chat model") {
        let path = entry.expect("a file").path();
        fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("copied");
    }
}

/// What a command prints is compared with what the oracle makes of the checkpoint, and not with what the
/// generated model would answer.
#[test]
fn its_commands_are_held_to_its_own_answers() {
    let (model, scratch) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    small_chat(model.path());
    // Commands lie outside the host profile; the reference declares them.
    let cases = ["--device", "cpu", "--case", "GATE-001::sound"];
    let (code, text) = weigh(&cases, model.path(), scratch.path());
    assert_eq!(code, Some(3), "only what was not selected is untested: {text}");
    assert_eq!(reasons(scratch.path(), "GATE-001::sound"), [("pass".to_owned(), String::new())]);
    // Commands that say the same to everything.
    let manifest = scratch.path().join("manifest.yaml");
    let exe = env!("CARGO_BIN_EXE_weighbridge");
    let same = "[sh, -c, 'echo Hello.']";
    let written =
        format!("name: same\ncommand: ['{exe}', loader]\ncli: {{run: {same}, chat: {same}}}\n");
    fs::write(&manifest, written).expect("written");
    let manifest = manifest.display().to_string();
    let words = [&cases[..], &["--loader", manifest.as_str()]].concat();
    weigh(&words, model.path(), scratch.path());
    let found = reasons(scratch.path(), "GATE-001::sound");
    assert!(found[0].0 == "fail" && found[0].1.contains("found \"Hello.\\n\""), "{found:?}");
    // With such a setting, another token than the most likely one may be right.
    fs::write(model.path().join("generation_config.json"), r#"{"repetition_penalty": 1.5}"#)
        .expect("written");
    let (code, text) = weigh(&cases, model.path(), scratch.path());
    assert_eq!(code, Some(3), "{text}");
    let found = reasons(scratch.path(), "GATE-001::sound");
    assert!(
        found[0].0 == "untested" && found[0].1.contains("repetition_penalty = 1.5"),
        "{found:?}"
    );
}
