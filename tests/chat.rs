//! The small chat model: what transformers makes of it, template, tokens, logits and answers, and what
//! becomes of files that are broken.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use weighbridge::contract::generation::{Prompt, Sampling, Stop, Turn};
use weighbridge::contract::reply::Generated;
use weighbridge::contract::request::Generate;
use weighbridge::contract::{Code, Device};
use weighbridge::loader::device::Gpus;
use weighbridge::loader::error::{LoadError, Result};
use weighbridge::loader::load::model::Model;
use weighbridge::loader::open::checkpoint::Checkpoint;
use weighbridge::loader::progress::Progress;
use weighbridge::loader::verbs::generate;
use weighbridge::loader::{Honest, load};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chat")
}

fn open(folder: &Path) -> Result<Model> {
    let request = Checkpoint::find(folder)?.decoder(Device::Cpu, true);
    load::load(&mut Gpus::default(), &Honest, &request, &Progress::default())
}

fn asked(prompt: Prompt) -> Generate {
    Generate { handle: 0, prompt, limit: 64, sampling: Sampling::GREEDY, into: None }
}

fn answer(model: &mut Model, request: &Generate) -> Result<Generated> {
    generate::generate(model, &mut Gpus::default(), &Honest, request, &mut |_| ())
}

fn say(text: &str) -> Prompt {
    let turn = serde_json::json!([{"role": "user", "content": text}]);
    Prompt::Chat(serde_json::from_value(turn).expect("turns"))
}

#[test]
fn template_tokens_logits_and_answers_are_those_of_transformers() {
    let goldens = fs::read(folder().join("goldens.json")).expect("goldens.json");
    let goldens: Value = serde_json::from_slice(&goldens).expect("JSON");
    let mut model = open(&folder().join("model")).expect("loads");
    let conversations = goldens["conversations"].as_array().expect("conversations");
    assert!(conversations.len() >= 9);
    for golden in conversations {
        let turns: Vec<Turn> = serde_json::from_value(golden["turns"].clone()).expect("turns");
        let runnable = model.runnable.as_ref().expect("for inference");
        let template = runnable.template.as_ref().expect("a template");
        let rendered = template.render(&turns).expect("rendered");
        assert_eq!(rendered, golden["rendered"].as_str().expect("text"));

        let scratch = tempfile::tempdir().expect("a folder");
        let into = scratch.path().join("logits.safetensors");
        let request = Generate { into: Some(into.clone()), ..asked(Prompt::Chat(turns)) };
        let given = answer(&mut model, &request).expect("answers");
        let ids =
            |name: &str| -> Vec<u32> { serde_json::from_value(golden[name].clone()).expect("ids") };
        assert_eq!(given.prompt, ids("prompt"));
        assert_eq!(given.tokens, ids("tokens"));
        assert_eq!(given.text.as_deref(), golden["text"].as_str());
        assert_eq!(given.stop, Stop::EndOfSequence);
        // Without its logits, the same tokens.
        let plain = answer(&mut model, &Generate { into: None, ..request }).expect("answers");
        assert_eq!(plain.tokens, given.tokens);

        let bytes = fs::read(&into).expect("written");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let logits = file.tensor("logits").expect("logits");
        assert_eq!(logits.shape(), [given.tokens.len(), 1024]);
        let first: Vec<f64> = logits.data()[..4096]
            .chunks(4)
            .map(|raw| f64::from(f32::from_le_bytes(raw.try_into().expect("four"))))
            .collect();
        let near = |given: f64, wanted: &Value| {
            let wanted = wanted.as_f64().expect("a number");
            assert!((given - wanted).abs() < 1e-4 * wanted.abs().max(1.0), "{given} {wanted}");
        };
        near(first.iter().map(|logit| logit * logit).sum::<f64>().sqrt(), &golden["norm"]);
        for pair in golden["largest"].as_array().expect("pairs") {
            near(first[pair[0].as_u64().expect("an id") as usize], &pair[1]);
        }
        let fiftieth = golden["every_fiftieth"].as_array().expect("numbers");
        first.iter().step_by(50).zip(fiftieth).for_each(|(given, wanted)| near(*given, wanted));
    }
}

#[test]
fn without_the_template_it_says_nothing() {
    let mut model = open(&folder().join("model")).expect("loads");
    let tokens = model.runnable.as_ref().and_then(|runnable| runnable.tokenizer.clone());
    let bare = tokens.expect("a tokenizer").plain("What is 20+30?").expect("tokens");
    let given = answer(&mut model, &asked(Prompt::Tokens(bare))).expect("answers");
    assert_eq!((given.text.as_deref(), given.tokens.len()), (Some(""), 1));
    let given = answer(&mut model, &asked(say("What is 20+30?"))).expect("answers");
    assert_eq!(given.text.as_deref(), Some("50"));
}

const SHORT: &str = "\"max_position_embeddings\": 64";

#[test]
fn bounds_are_kept_and_said() {
    // The same model with a short context, which takes a moment to fill.
    let short = |text: &str| Some(text.replace("\"max_position_embeddings\": 2048", SHORT));
    let mut model = changed("config.json", short).expect("loads");
    let request = Generate { limit: 2, ..asked(say("Hello!")) };
    let given = answer(&mut model, &request).expect("answers");
    assert_eq!((given.tokens.len(), given.stop), (2, Stop::Limit));

    // A prompt as long as the context leaves one token; nothing ends the sequence before.
    model.runnable.as_mut().expect("for inference").ends.clear();
    let prompt = |length: usize| asked(Prompt::Tokens(vec![700; length]));
    let given = answer(&mut model, &prompt(64)).expect("answers");
    assert_eq!((given.tokens.len(), given.stop), (1, Stop::Context));
    let given = answer(&mut model, &prompt(62)).expect("answers");
    assert_eq!((given.tokens.len(), given.stop), (3, Stop::Context));
}

#[test]
fn what_a_model_cannot_be_given_is_refused() {
    let mut model = open(&folder().join("model")).expect("loads");
    let mut refused =
        |request: Generate| -> LoadError { answer(&mut model, &request).expect_err("refused") };
    let tokens = |ids: Vec<u32>| asked(Prompt::Tokens(ids));
    let cases = [
        (tokens(vec![]), Code::InvalidInput, "empty"),
        (asked(say(" ")), Code::InvalidInput, "empty"),
        (asked(Prompt::Chat(vec![])), Code::InvalidInput, "empty"),
        (tokens(vec![5; 2049]), Code::InvalidInput, "2048"),
        (tokens(vec![5, 1024]), Code::InvalidInput, "1024 at 1"),
        (Generate { limit: 0, ..tokens(vec![5]) }, Code::InvalidRequest, "at least 1"),
    ];
    for (request, code, part) in cases {
        let error = refused(request);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// The model's folder, with one file changed.
fn changed(file: &str, change: impl FnOnce(&str) -> Option<String>) -> Result<Model> {
    let scratch = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(folder().join("model")).expect("the model") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), scratch.path().join(entry.file_name())).expect("copied");
    }
    let path = scratch.path().join(file);
    match change(&fs::read_to_string(&path).expect("text")) {
        Some(text) => fs::write(&path, text).expect("written"),
        None => fs::remove_file(&path).expect("removed"),
    }
    let mut model = open(scratch.path())?;
    answer(&mut model, &asked(say("Hello!"))).map(|_| model)
}

#[test]
fn broken_files_are_refused_by_name() {
    type Change = fn(&str) -> Option<String>;
    let cases: [(&str, Change, Code, &str); 10] = [
        ("tokenizer.json", |_| None, Code::InvalidTokenizer, "is missing"),
        ("tokenizer.json", |text| Some(text[..900].into()), Code::InvalidTokenizer, "cannot be"),
        ("tokenizer_config.json", |_| None, Code::InvalidTemplate, "is missing"),
        (
            "tokenizer_config.json",
            |text| Some(text.replace("chat_template", "chat")),
            Code::InvalidTemplate,
            "no chat template",
        ),
        (
            "tokenizer_config.json",
            |text| Some(text.replace("endfor", "endfo")),
            Code::InvalidTemplate,
            "cannot be parsed",
        ),
        (
            "tokenizer_config.json",
            |text| {
                let broken = "{%- for a in range(9000) -%}{%- for b in range(9000) -%}x\
                              {%- endfor -%}{%- endfor -%}";
                let mut value: Value = serde_json::from_str(text).expect("JSON");
                value["chat_template"] = broken.into();
                Some(value.to_string())
            },
            Code::InvalidTemplate,
            "takes too many steps",
        ),
        (
            "tokenizer_config.json",
            |text| {
                let mut value: Value = serde_json::from_str(text).expect("JSON");
                value["chat_template"] = "{{ raise_exception('roles must alternate') }}".into();
                Some(value.to_string())
            },
            Code::InvalidTemplate,
            "roles must alternate",
        ),
        ("config.json", |_| None, Code::InvalidConfig, "is missing"),
        (
            "config.json",
            |text| Some(text.replace("num_attention_heads", "heads")),
            Code::InvalidConfig,
            "num_attention_heads",
        ),
        (
            "generation_config.json",
            |text| Some(text.replace('2', "5000")),
            Code::InvalidConfig,
            "eos_token_id",
        ),
    ];
    for (file, change, code, part) in cases {
        let error = changed(file, change).map(|_| ()).expect_err(part);
        assert_eq!(error.code(), code, "{file}: {error}");
        assert!(error.to_string().contains(part), "{file}: {error}");
        assert!(error.failure().path.is_some() || part.contains("take") || part.contains("roles"));
    }
    changed("config.json", |text| Some(text.to_owned())).expect("unchanged, it answers");
}
