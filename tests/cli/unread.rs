//! `validate` and `inspect` tell of fields of the configuration that nothing reads; commands refuse
//! settings of generation that mean nothing, by name.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{folder, refused, weighbridge};

/// The small chat model, with one field more in a file of it.
fn with(name: &str, field: &str, value: Value) -> TempDir {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/chat/model");
    let folder = folder();
    for entry in fs::read_dir(&model).expect("the model") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copied");
    }
    let text = fs::read(model.join(name)).expect("a file of the model");
    let mut fields: Value = serde_json::from_slice(&text).expect("JSON");
    fields[field] = value;
    fs::write(folder.path().join(name), fields.to_string()).expect("written");
    folder
}

#[test]
fn fields_that_nothing_reads_are_told() {
    for (file, shown) in
        [("config.json", "flavour"), ("generation_config.json", "generation_config.json: flavour")]
    {
        let folder = with(file, "flavour", json!("sweet"));
        let model = folder.path().display().to_string();
        for command in ["validate", "inspect"] {
            let ran = weighbridge(&[command, &model]);
            assert_eq!(ran.code, Some(0), "{command}: {}", ran.err);
            let line = format!("unread       {shown:?}\n");
            assert!(ran.out.contains(&line), "{command}: {}", ran.out);
            let ran = weighbridge(&[command, &model, "--json"]);
            let told: Value = serde_json::from_str(&ran.out).expect("JSON");
            assert_eq!(told["unread"], json!([shown]), "{command}");
        }
    }
}

#[test]
fn settings_that_mean_nothing_are_refused_by_name() {
    let folder = with("generation_config.json", "repetition_penalty", json!("a lot"));
    let model = folder.path().display().to_string();
    let words = ["repetition_penalty", "generation_config.json", "remedy"];
    refused(&["run", &model, "--no-gpu", "--prompt", "2+2="], 5, &words);
    assert_eq!(weighbridge(&["validate", &model]).code, Some(1));
}
