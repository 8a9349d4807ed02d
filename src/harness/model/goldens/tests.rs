//! Holds the judge's reading of published folders to transformers.

use super::*;
use crate::harness::model::published::Published;
use crate::harness::template::Moment;

#[test]
fn folders_are_read_as_transformers_reads_them() {
    let table: Value = serde_json::from_str(TABLE).expect("JSON");
    let mut tried = 0;
    for row in table["rows"].as_array().expect("rows") {
        let Some(files) = row["files"].as_object() else { continue };
        let name = row["name"].as_str().expect("a name");
        let said = &table["conversations"][row["conversation"].as_str().expect("a name")];
        if !said["tools"].is_null() {
            continue;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let golden = Golden { turns: Vec::new(), text: None, dated: false, files: files.clone() };
        golden.write(folder.path()).expect("written");
        let turns: Vec<Turn> =
            said["messages"].as_array().expect("turns").iter().filter_map(turn).collect();
        let rendered = Published::read(folder.path())
            .and_then(|published| published.render(&turns, Moment::now()));
        match (rendered, row["text"].as_str()) {
            (Ok(text), wanted) => assert_eq!(Some(text.as_str()), wanted, "{name}"),
            // The judge leaves open what the class of a tokenizer decides.
            (Err(why), Some(_)) => assert!(name.starts_with("class_"), "{name}: {why}"),
            (Err(_), None) => {}
        }
        tried += 1;
    }
    assert!(tried > 30, "{tried} rows");
}

#[test]
fn a_row_that_the_contract_cannot_carry_is_refused() {
    for name in ["llama3_tools_some", "granite_documents_none", "class_qwen2", "no_such_row"] {
        assert!(Golden::named(name).is_err(), "{name}");
    }
    let golden = Golden::named("map_wins").expect("a row");
    assert_eq!(golden.text.as_deref(), Some("What is 2+2?[<s>][<sep>][][][][][]"));
}
