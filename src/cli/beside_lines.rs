//! Shows the files that lie beside a model's weights and do not count, and what its index says
//! otherwise than the shards.

use serde_json::{Value, json};

use crate::loader::open::beside::LeftOut;

/// One line for each, as `inspect` and `validate` print them.
pub fn text(left_out: &[LeftOut], notes: &[String]) -> String {
    let files = left_out.iter().map(|file| format!("left out     {}: {}\n", file.name, file.why));
    files.chain(notes.iter().map(|note| format!("note         {note}\n"))).collect()
}

/// The files, for the JSON output.
pub fn value(left_out: &[LeftOut]) -> Value {
    left_out.iter().map(|file| json!({"name": file.name, "why": file.why})).collect()
}
