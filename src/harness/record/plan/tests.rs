//! Tests that a plan reads back as it was written, and that a changed one is refused.

use std::fs;

use crate::harness::record::plan::*;
use crate::harness::record::sample;

fn plan() -> FrozenPlan {
    let case = |id: &str, cost_us, canary| Planned { id: id.to_owned(), cost_us, canary };
    FrozenPlan {
        format: FORMAT.to_owned(),
        digest: String::new(),
        subject: sample::subject(),
        adapter: Adapter { manifest: None, program: "aa".repeat(32), files: BTreeMap::new() },
        gguf_runtime: None,
        model: None,
        device: "cpu".to_owned(),
        seed: "0000000000000007".to_owned(),
        selection: None,
        cases: vec![case("A-1::a", Some(20), false), case("A-1::b", None, true)],
    }
    .sealed()
}

#[test]
fn a_plan_reads_back_equal_and_a_changed_one_is_refused() -> Result<(), Box<dyn std::error::Error>>
{
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("p.plan.json");
    plan().write(&path)?;
    assert_eq!(FrozenPlan::read(&path)?, plan());
    let text = fs::read_to_string(&path)?;
    for (from, to) in [("\"A-1::a\"", "\"A-1::c\""), ("20", "21"), ("00007\"", "00008\"")] {
        fs::write(&path, text.replacen(from, to, 1))?;
        assert!(matches!(FrozenPlan::read(&path), Err(PlanFileError::Changed { .. })), "{from}");
    }
    fs::write(&path, text.replacen("weighbridge.plan/1", "weighbridge.plan/2", 1))?;
    let error = FrozenPlan::read(&path).map_err(|error| error.to_string());
    assert!(error.is_err_and(|text| text.contains("weighbridge.plan/2")));
    assert!(FrozenPlan::read(folder.path()).is_err());
    assert!(FrozenPlan::read(&folder.path().join("none")).is_err());
    Ok(())
}

#[test]
fn every_condition_that_differs_is_named() {
    let mut other = plan();
    assert_eq!(plan().differences(&other), []);
    other.subject.binary = "b2".repeat(32);
    other.adapter.files.insert("loader.py".to_owned(), "cc".repeat(32));
    other.device = "cuda".to_owned();
    let fields: Vec<&str> = plan().differences(&other).iter().map(|one| one.field).collect();
    assert_eq!(fields, ["binary", "adapter", "device"]);
}
