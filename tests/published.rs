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
    let mut certify =
        command(&["certify", "--profile", "host", "--seed", "00000000000000aa", "--model"]);
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
    // Random weights do not know sums: the case that asks for one finds that out, and no other fails.
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("F-QUAL-066") && !text.contains("PMAT-236-1::"), "{text}");
    let (code, text) = certify(&["--case", "PMAT-236-1"], model.path(), scratch.path());
    assert_eq!(code, Some(3), "only what was not selected is untested: {text}");
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
