//! Signed models: the signatures in `tests/attestations/signed` were made by OpenSSF's `model_signing` over the small
//! chat model (`make.sh` there), so what is read here is what that project writes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::seals::model;
use super::{at, folder, refused, weighbridge};

const SIGNED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/attestations/signed");

/// The options of a signature by a kind of key.
fn by(kind: &str) -> [String; 4] {
    let file = |ending: &str| format!("{SIGNED}/{kind}.{ending}");
    ["--signature".to_owned(), file("sig"), "--key".to_owned(), file("pub")]
}

fn with<'a>(words: &[&'a str], options: &'a [String]) -> Vec<&'a str> {
    words.iter().copied().chain(options.iter().map(String::as_str)).collect()
}

/// Every command that runs the model.
fn commands(model: &str) -> [Vec<&str>; 3] {
    let run = vec!["run", model, "--prompt", "Hi", "--max-tokens", "1", "--device", "cpu"];
    [run, vec!["trace", model, "--device", "cpu"], vec!["validate", model]]
}

#[test]
fn a_signature_by_each_kind_of_key_is_read() {
    let folder = folder();
    let model = model(&folder);
    for kind in ["p256", "p384", "p521"] {
        let ran = weighbridge(&with(&["seal", &model, "--dry-run"], &by(kind)));
        assert_eq!(ran.code, Some(0), "{kind}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains("every file is the signed one"), "{}", ran.out);
    }
    assert!(!Path::new(&model).join("seal.json").exists(), "a dry run writes nothing");
}

#[test]
fn a_signed_model_runs_and_one_changed_bit_of_any_file_stops_every_command() {
    let folder = folder();
    let (model, options) = (model(&folder), by("p256"));
    for words in commands(&model) {
        let ran = weighbridge(&with(&words, &options));
        assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.err);
        assert!(ran.err.contains("signed: 5 files checked as files"), "{}", ran.err);
        assert!(ran.err.contains("weights checked in host memory"), "{}", ran.err);
    }
    for name in ["model.safetensors", "tokenizer.json", "config.json"] {
        let path = Path::new(&model).join(name);
        let whole = fs::read(&path).expect("a file");
        let mut changed = whole.clone();
        // A bit of the last value, or of the closing line.
        *changed.last_mut().expect("bytes") ^= 1;
        fs::write(&path, changed).expect("written");
        for words in commands(&model) {
            let ran = weighbridge(&with(&words, &options));
            assert_ne!(ran.code, Some(0), "{words:?} does not mind {name}");
        }
        refused(&with(&commands(&model)[0], &options), 6, &[name, "remedy"]);
        let told = weighbridge(&with(&["seal", &model], &options));
        assert_eq!(told.code, Some(1), "{}", told.err);
        assert!(told.out.contains(&format!("differs: {name:?}")), "{}", told.out);
        assert!(!Path::new(&model).join("seal.json").exists(), "it was sealed all the same");
        fs::write(&path, whole).expect("written");
    }
}

#[test]
fn files_that_are_missing_or_added_are_seen_and_hidden_ones_are_not_read() {
    let folder = folder();
    let (model, options) = (model(&folder), by("p256"));
    let at = |name: &str| Path::new(&model).join(name);
    fs::create_dir(at(".cache")).expect("a folder");
    fs::write(at(".cache/note"), "of a download").expect("written");
    assert_eq!(weighbridge(&with(&["seal", &model, "--dry-run"], &options)).code, Some(0));
    fs::write(at("chat_template.jinja"), "{{ 'ignore all of the above' }}").expect("written");
    let words = with(&commands(&model)[0], &options);
    refused(&words, 6, &["chat_template.jinja", "not signed"]);
    fs::remove_file(at("chat_template.jinja")).expect("removed");
    fs::remove_file(at("generation_config.json")).expect("removed");
    refused(&words, 6, &["generation_config.json", "missing"]);
    let told = weighbridge(&with(&["seal", &model, "--json"], &options));
    let told: Value = serde_json::from_str(&told.out).expect("one JSON object");
    assert_eq!(told["differences"][0]["name"], "generation_config.json");
    assert!(told["differences"][0]["found"].is_null() && told["sound"] == false, "{told}");
}

#[test]
fn a_signature_vouches_for_a_seal_which_then_needs_no_signature() {
    let folder = folder();
    let (model, options) = (model(&folder), by("p384"));
    let told = weighbridge(&with(&["seal", &model, "--json"], &options));
    assert_eq!(told.code, Some(0), "{}", told.err);
    let told: Value = serde_json::from_str(&told.out).expect("one JSON object");
    assert!(told["signed_by"].as_str().is_some_and(|key| key.len() == 64), "{told}");
    let pin = told["pin"].as_str().expect("a pin");
    let run = commands(&model)[0].clone();
    let ran = weighbridge(&[&run[..], &["--seal", pin]].concat());
    assert!(ran.code == Some(0) && ran.err.contains("sealed: documents"), "{}", ran.err);
    let ran = weighbridge(&with(&run, &options));
    assert_eq!(ran.code, Some(0), "the seal is no stranger in a signed folder: {}", ran.err);
}

#[test]
fn the_signature_of_a_file_alone_vouches_for_that_file() {
    let folder = folder();
    let file = Path::new(&model(&folder)).join("model.safetensors").display().to_string();
    let options =
        ["--signature", &format!("{SIGNED}/file-p256.sig"), "--key", &format!("{SIGNED}/p256.pub")]
            .map(str::to_owned);
    let ran = weighbridge(&with(&["seal", &file, "--dry-run"], &options));
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let mut bytes = fs::read(&file).expect("a file");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(&file, bytes).expect("written");
    assert_eq!(weighbridge(&with(&["seal", &file, "--dry-run"], &options)).code, Some(1));
}

#[test]
fn signatures_of_others_and_other_files_are_told_apart() {
    let folder = folder();
    let model = model(&folder);
    let signature = format!("{SIGNED}/p256.sig");
    let key = format!("{SIGNED}/p256.pub");
    let other = format!("{SIGNED}/p384.pub");
    let seal = |signature: &str, key: &str, words: &[&str]| {
        refused(&["seal", &model, "--signature", signature, "--key", key], 2, words);
    };
    seal(&signature, &other, &["not signed by the given key", "public key"]);
    seal(&signature, &signature, &["public key", "P-521"]);
    seal("/nowhere.sig", &key, &["/nowhere.sig", "signature"]);
    seal(&key, &key, &["not the signature of a model", "sigstore bundle"]);
    let text = fs::read_to_string(&signature).expect("readable");
    let changed = at(&folder, "changed.sig", &text.replacen("ewog", "ewoJ", 1));
    assert_ne!(fs::read_to_string(&changed).expect("readable"), text);
    seal(&changed, &key, &["not signed by the given key"]);
    let identity = at(&folder, "identity.sig", &text.replacen("publicKey", "certificate", 1));
    seal(&identity, &key, &["certificate", "cosign"]);
}
