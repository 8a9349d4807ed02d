//! Keeps a model that the loader says it has loaded.

use serde_json::json;

use crate::contract::Device;
use crate::contract::reply::Loaded;
use crate::contract::request::DtypePolicy;
use crate::harness::run::case_run::{CaseEnd, CaseRun, Model};

/// Records the claims of a load, and keeps the model under a name of the case.
///
/// # Errors
/// [`CaseEnd::Fault`] where the case has no such file.
pub fn keep(
    case_run: &mut CaseRun<'_>,
    (file, name): (&str, &str),
    (keep, asked): (DtypePolicy, Device),
    loaded: &Loaded,
) -> Result<(), CaseEnd> {
    let mut claim = json!({
        "handle": loaded.handle, "device": loaded.device, "sha256": loaded.sha256,
        "file_bytes": loaded.file_bytes, "held_bytes": loaded.held_bytes,
        "tensors": loaded.tensors.len(), "gates": loaded.gates, "transfer": loaded.transfer,
        "plan": loaded.plan, "unused": loaded.unused, "times": loaded.times,
    });
    if !loaded.parts.is_empty() {
        claim["parts"] = json!(loaded.parts);
    }
    case_run.claim(claim);
    let model = Model {
        handle: loaded.handle,
        file: file.to_owned(),
        from: case_run.file(file)?.clone(),
        keep,
        asked,
        loaded: loaded.clone(),
    };
    if let Some(before) = case_run.loaded.insert(name.to_owned(), model) {
        case_run.replaced.push(before.handle);
    }
    Ok(())
}
